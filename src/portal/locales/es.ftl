# Español

# Inicio
start-title = Pague con su teléfono
start-lead = Sin aplicación: conéctese, elija su caja y pague.
start-till = Está en la caja { $till }.
start-ended = Su visita ha terminado. Puede empezar de nuevo aquí mismo.
closed-text = En este momento no es posible pagar con el teléfono. Pague en la caja de otra manera.
terms-title = Condiciones de uso
terms-text = Esta red wifi sirve para pagar en la caja. Para su pago, la tienda procesa la caja, el importe y la hora. Su cuenta y su contraseña van solo al servicio de pago; la tienda nunca las ve.
start-accept = Aceptar y continuar
language-label = Idioma

# Número de caja
enter-title = ¿En qué caja está?
enter-hint = El número está en la tarjeta de la caja.
enter-label = Número de caja
enter-button = Continuar
enter-wrong = La caja { $till } no existe. Compruebe el número en la tarjeta.
enter-no-number = Eso no es un número de caja. Compruebe el número en la tarjeta.
enter-guesses-left =
    { $count ->
        [one] Queda un intento.
       *[other] Quedan { $count } intentos.
    }
enter-pause = Demasiados números equivocados. Podrá probar de nuevo en un momento.
enter-not-mine = De acuerdo, no era su compra. Cuando sea su turno, escriba de nuevo el número de caja.
enter-confirm-over = Se acabó el tiempo para confirmar. ¿Sigue en la caja? Escriba de nuevo el número.
enter-idle = Hace un rato que no pasa nada en la caja. ¿Sigue ahí? Escriba de nuevo el número.
enter-line-full = Ya hay demasiados teléfonos en la cola de esa caja. Espere un momento y escriba de nuevo el número.
enter-let-go = ¡Gracias! Ahora puede pagar el siguiente cliente. Cuando quiera pagar, escriba de nuevo el número de caja.
log-out = Salir

# Espera
line-title = Ya casi le toca
line-ahead =
    { $count ->
        [one] Hay una persona antes que usted.
       *[other] Hay { $count } personas antes que usted.
    }
keep-open = Por favor, deje esta página abierta.
waiting-title = Todo listo para pagar
waiting-text = La caja enviará ahora el importe a su teléfono.
leave-till = Elegir otra caja

# Confirmar
confirm-title = ¿Es esta su compra?
confirm-text = Compare el importe con la caja. Si la caja muestra un código, debe ser el mismo.
confirm-yes = Sí, pagar ahora
confirm-decline = No quiero pagar
confirm-not-mine = No es mi compra
seconds-left = Segundos restantes
late-title = No queda tiempo suficiente
late-text = Pida en la caja que inicien el pago de nuevo.

# Pagar
contacting-title = Un momento, por favor
contacting-text = Estamos preparando su pago.
contacting-again = Estamos preparando un nuevo intento.
checking-text = El servicio de pago aún no ha respondido. Seguimos preguntando. No pague por segunda vez.
pay-title = Pague ahora
pay-opens = La página de pago se abre sola. Si no se abre, toque el botón.
pay-return = ¿Aún no ha pagado? Toque el botón. Si ya pagó, el resultado aparecerá aquí solo.
pay-retry = Puede intentarlo de nuevo.
pay-button = Abrir la página de pago
pay-let-go = Dejar pasar al siguiente cliente
pay-give-up = Cancelar el pago
closing-title = Terminando el pago
closing-text = Un momento, por favor. No pague más.

# Por qué no funcionó
failed-password = La cuenta o la contraseña no son correctas.
failed-tries = La contraseña falló demasiadas veces.
failed-funds = No hay suficiente dinero en la cuenta.
failed-declined = El pago fue rechazado.
failed-not-allowed = El servicio de pago no acepta este pago.
failed-other = El pago no funcionó.

# Resultados
paid-title = Pagado. ¡Gracias!
paid-text = Su pago está completo. Si se lo piden, muestre esta página en la caja.
returned-title = Se le devuelve el dinero
returned-text = Este pago se devuelve por completo. ¿Preguntas? Diríjase a la caja.
unpaid-title = No pagado
unpaid-customer = Usted decidió no pagar.
unpaid-given-up = El pago fue cancelado.
unpaid-expired = Se acabó el tiempo para pagar.
unpaid-wrong-payment = El servicio de pago cobró un importe equivocado. Hable con el personal; se ocuparán de ello.
unpaid-till = El pago se detuvo en la caja.
unpaid-clock = La caja no podía esperar más.
unpaid-power-cut = El pago se interrumpió.
unpaid-lapsed = El pago no se confirmó a tiempo.
unpaid-next = Para intentarlo de nuevo, pregunte en la caja.
unpaid-safe = Si aun así se le cobra algo, se le devolverá automáticamente.
back-on-its-way = El importe devuelto está en camino.
back-done = Ya se le ha enviado el importe devuelto.
done-button = Listo

# Devoluciones
choose-title = Se le devuelve dinero
choose-all = Todo lo que queda del pago
choose-one = ¿Se trata de este pago?
choose-which = ¿De cuál de sus pagos se trata?
choose-none = Ninguno de sus pagos corresponde. Pregunte en la caja.
choose-yes = Sí, recuperar { $amount }
choose-no = No, no es para mí
choose-left = De eso queda
choose-receipt = Número de recibo
returning-text = Le estamos devolviendo su dinero.
returning-checking = El servicio de pago aún no ha respondido. Seguimos preguntando.
given-title = Dinero devuelto
given-text = El importe vuelve a la cuenta con la que pagó.
pending-title = Devolución aún sin confirmar
pending-text = El servicio de pago aún no ha respondido. La tienda ha registrado la devolución y sigue preguntando hasta que se resuelva. No hace falta que espere.
kept-title = No se ha devuelto nada
kept-customer = Usted rechazó la devolución.
kept-refused = El servicio de pago no devuelve este pago.
kept-till = La devolución se detuvo en la caja.
kept-power-cut = La devolución se interrumpió.
kept-lapsed = No se eligió ningún pago a tiempo.
kept-next = Si se le debe devolver dinero, pregunte en la caja.

# Recibo
receipt-shop = Tienda
receipt-till = Caja
receipt-amount = Importe
receipt-code = Código
receipt-time = Fecha y hora
receipt-sale = Venta
receipt-payment = Pago
receipt-return = Devolución
receipt-back = Devuelto
receipt-keep = Para guardar este recibo, haga una captura de pantalla o guárdelo como texto.
receipt-text = Recibo como texto
receipt-paid = Pagado
receipt-unpaid = No pagado
receipt-time-pattern = %d/%m/%Y, %H:%M

# Cuando algo lo impide
busy-title = Ahora hay mucha actividad
busy-text = Esta página lo intenta sola otra vez.
full-title = La red wifi está llena ahora
full-text = Inténtelo de nuevo en un momento o pague de otra forma.
stale-title = Esta página ya no está al día
stale-text = No ha pasado nada. Vuelva atrás e inténtelo otra vez.
bad-title = No ha funcionado
bad-text = Algo faltaba o no era correcto. No ha pasado nada. Vuelva atrás e inténtelo otra vez.
back-button = Volver
