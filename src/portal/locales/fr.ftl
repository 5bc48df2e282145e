# Français

# Accueil
start-title = Payez avec votre téléphone
start-lead = Sans application : connectez-vous, choisissez votre caisse, payez.
start-till = Vous êtes à la caisse { $till }.
start-ended = Votre visite est terminée. Vous pouvez recommencer ici.
closed-text = Le paiement par téléphone n’est pas possible pour le moment. Veuillez payer autrement à la caisse.
terms-title = Conditions d’utilisation
terms-text = Ce Wi-Fi sert à payer en caisse. Pour votre paiement, le magasin traite la caisse, le montant et l’heure. Votre compte et votre mot de passe ne vont qu’au service de paiement ; le magasin ne les voit jamais.
start-accept = Accepter et continuer
language-label = Langue

# Numéro de caisse
enter-title = À quelle caisse êtes-vous ?
enter-hint = Le numéro figure sur la carte à la caisse.
enter-label = Numéro de caisse
enter-button = Continuer
enter-wrong = La caisse { $till } n’existe pas. Vérifiez le numéro sur la carte.
enter-no-number = Ce n’est pas un numéro de caisse. Vérifiez le numéro sur la carte.
enter-guesses-left =
    { $count ->
        [one] Il reste un essai.
       *[other] Il reste { $count } essais.
    }
enter-pause = Trop de numéros erronés. Vous pourrez réessayer dans un instant.
enter-not-mine = D’accord, ce n’était pas votre achat. Quand ce sera votre tour, saisissez à nouveau le numéro de caisse.
enter-confirm-over = Le temps pour confirmer est écoulé. Toujours à la caisse ? Saisissez à nouveau le numéro.
enter-idle = Il ne s’est rien passé à la caisse depuis un moment. Toujours là ? Saisissez à nouveau le numéro.
enter-line-full = Trop de téléphones attendent déjà à cette caisse. Patientez un instant et saisissez à nouveau le numéro.
enter-let-go = Merci ! Le client suivant peut payer. Quand vous serez prêt, saisissez à nouveau le numéro de caisse.
log-out = Quitter

# Attente
line-title = C’est bientôt à vous
line-ahead =
    { $count ->
        [one] Il y a une personne avant vous.
       *[other] Il y a { $count } personnes avant vous.
    }
keep-open = Gardez cette page ouverte, s’il vous plaît.
waiting-title = Prêt à payer
waiting-text = La caisse va envoyer le montant sur votre téléphone.
leave-till = Choisir une autre caisse

# Confirmation
confirm-title = Est-ce bien votre achat ?
confirm-text = Comparez le montant avec la caisse. Si la caisse affiche un code, il doit être identique.
confirm-yes = Oui, payer maintenant
confirm-decline = Je ne veux pas payer
confirm-not-mine = Ce n’est pas mon achat
seconds-left = Secondes restantes
late-title = Il ne reste pas assez de temps
late-text = Demandez à la caisse de relancer le paiement.

# Paiement
contacting-title = Un instant, s’il vous plaît
contacting-text = Nous préparons votre paiement.
contacting-again = Nous préparons un nouvel essai.
checking-text = Le service de paiement n’a pas encore répondu. Nous continuons à l’interroger. Ne payez pas une deuxième fois.
pay-title = Payez maintenant
pay-opens = La page de paiement s’ouvre d’elle-même. Sinon, touchez le bouton.
pay-return = Pas encore payé ? Touchez le bouton. Si vous avez payé, le résultat s’affiche ici tout seul.
pay-retry = Vous pouvez réessayer.
pay-button = Ouvrir la page de paiement
pay-let-go = Laisser passer le client suivant
pay-give-up = Annuler le paiement
closing-title = Fin du paiement en cours
closing-text = Un instant, s’il vous plaît. Ne payez plus.

# Pourquoi cela n’a pas marché
failed-password = Le compte ou le mot de passe est incorrect.
failed-tries = Mot de passe incorrect trop de fois.
failed-funds = Il n’y a pas assez d’argent sur le compte.
failed-declined = Le paiement a été refusé.
failed-not-allowed = Le service de paiement n’accepte pas ce paiement.
failed-other = Le paiement n’a pas abouti.

# Résultats
paid-title = Payé. Merci !
paid-text = Votre paiement est terminé. Si on vous le demande, montrez cette page à la caisse.
returned-title = Votre argent vous est rendu
returned-text = Ce paiement est rendu en totalité. Des questions ? Adressez-vous à la caisse.
unpaid-title = Non payé
unpaid-customer = Vous avez choisi de ne pas payer.
unpaid-given-up = Le paiement a été annulé.
unpaid-expired = Le temps pour payer est écoulé.
unpaid-wrong-payment = Le service de paiement a pris un montant erroné. Adressez-vous au personnel, qui s’en occupe.
unpaid-till = Le paiement a été arrêté à la caisse.
unpaid-clock = La caisse ne pouvait plus attendre.
unpaid-power-cut = Le paiement a été interrompu.
unpaid-lapsed = Le paiement n’a pas été confirmé à temps.
unpaid-next = Pour réessayer, adressez-vous à la caisse.
unpaid-safe = Si de l’argent est encore prélevé, il vous sera rendu automatiquement.
back-on-its-way = Le montant rendu est en route vers vous.
back-done = Le montant rendu vous a été envoyé.
done-button = Terminé

# Argent rendu
choose-title = On vous rend de l’argent
choose-all = Tout ce qui reste du paiement
choose-one = S’agit-il de ce paiement ?
choose-which = Duquel de vos paiements s’agit-il ?
choose-none = Aucun de vos paiements ne convient. Adressez-vous à la caisse.
choose-yes = Oui, récupérer { $amount }
choose-no = Non, ce n’est pas pour moi
choose-left = Dont il reste
choose-receipt = Numéro de reçu
returning-text = Nous vous rendons votre argent.
returning-checking = Le service de paiement n’a pas encore répondu. Nous continuons à l’interroger.
given-title = Argent rendu
given-text = Le montant retourne sur le compte avec lequel vous avez payé.
pending-title = Remboursement pas encore confirmé
pending-text = Le service de paiement n’a pas encore répondu. Le magasin a noté le remboursement et continue à l’interroger jusqu’à ce que ce soit réglé. Vous n’avez pas besoin d’attendre.
kept-title = Rien n’a été rendu
kept-customer = Vous avez refusé le remboursement.
kept-refused = Le service de paiement ne rembourse pas ce paiement.
kept-till = Le remboursement a été arrêté à la caisse.
kept-power-cut = Le remboursement a été interrompu.
kept-lapsed = Aucun paiement n’a été choisi à temps.
kept-next = Si l’on doit vous rendre de l’argent, adressez-vous à la caisse.

# Reçu
receipt-shop = Magasin
receipt-till = Caisse
receipt-amount = Montant
receipt-code = Code
receipt-time = Date et heure
receipt-sale = Vente
receipt-payment = Paiement
receipt-return = Remboursement
receipt-back = Rendu
receipt-keep = Pour garder ce reçu, faites une capture d’écran ou enregistrez-le en texte.
receipt-text = Reçu en texte
receipt-paid = Payé
receipt-unpaid = Non payé
receipt-time-pattern = %d/%m/%Y %H:%M

# Quand quelque chose bloque
busy-title = Il y a beaucoup de monde
busy-text = Cette page réessaie toute seule.
full-title = Le Wi-Fi est complet pour le moment
full-text = Réessayez dans un instant ou payez autrement.
stale-title = Cette page n’est plus à jour
stale-text = Il ne s’est rien passé. Revenez en arrière et réessayez.
bad-title = Cela n’a pas marché
bad-text = Quelque chose manquait ou était incorrect. Il ne s’est rien passé. Revenez en arrière et réessayez.
back-button = Retour
