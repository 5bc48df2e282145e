# Deutsch

# Start
start-title = Mit dem Handy bezahlen
start-lead = Ganz ohne App: verbinden, Kasse wählen, bezahlen.
start-till = Sie sind an Kasse { $till }.
start-ended = Ihr Besuch ist beendet. Hier können Sie gleich neu beginnen.
closed-text = Das Bezahlen mit dem Telefon ist im Moment nicht möglich. Bitte bezahlen Sie an der Kasse auf andere Weise.
terms-title = Nutzungsbedingungen
terms-text = Dieses WLAN ist zum Bezahlen an der Kasse da. Für Ihre Zahlung verarbeitet das Geschäft Kasse, Betrag und Uhrzeit. Konto und Passwort gehen nur an den Zahlungsdienst; das Geschäft sieht sie nie.
start-accept = Zustimmen und weiter
language-label = Sprache

# Kassennummer
enter-title = An welcher Kasse sind Sie?
enter-hint = Die Nummer steht auf der Karte an der Kasse.
enter-label = Kassennummer
enter-button = Weiter
enter-wrong = Eine Kasse { $till } gibt es nicht. Bitte prüfen Sie die Nummer auf der Karte.
enter-no-number = Das ist keine Kassennummer. Bitte prüfen Sie die Nummer auf der Karte.
enter-guesses-left =
    { $count ->
        [one] Noch ein Versuch.
       *[other] Noch { $count } Versuche.
    }
enter-pause = Die Nummer war zu oft falsch. Gleich können Sie es wieder versuchen.
enter-not-mine = In Ordnung, das war nicht Ihr Einkauf. Wenn Sie an der Reihe sind, geben Sie die Kassennummer noch einmal ein.
enter-confirm-over = Die Zeit zum Bestätigen ist um. Noch an der Kasse? Geben Sie die Nummer noch einmal ein.
enter-idle = An der Kasse ist eine Weile nichts passiert. Noch da? Geben Sie die Nummer noch einmal ein.
enter-line-full = An dieser Kasse stehen schon zu viele Telefone an. Warten Sie kurz und geben Sie die Nummer noch einmal ein.
enter-let-go = Danke! Jetzt kann der nächste Kunde bezahlen. Wenn Sie so weit sind, geben Sie die Kassennummer noch einmal ein.
log-out = Abmelden

# Warten
line-title = Gleich sind Sie dran
line-ahead =
    { $count ->
        [one] Vor Ihnen ist noch eine Person.
       *[other] Vor Ihnen sind noch { $count } Personen.
    }
keep-open = Bitte lassen Sie diese Seite offen.
waiting-title = Bereit zum Bezahlen
waiting-text = Der Betrag kommt gleich von der Kasse auf Ihr Handy.
leave-till = Andere Kasse wählen

# Bestätigen
confirm-title = Ist das Ihr Einkauf?
confirm-text = Vergleichen Sie den Betrag mit der Kasse. Zeigt die Kasse einen Code, muss er gleich sein.
confirm-yes = Ja, jetzt bezahlen
confirm-decline = Ich möchte nicht bezahlen
confirm-not-mine = Das ist nicht mein Einkauf
seconds-left = Sekunden übrig
late-title = Die Zeit reicht nicht mehr
late-text = Bitte lassen Sie die Zahlung an der Kasse neu starten.

# Bezahlen
contacting-title = Einen Moment, bitte
contacting-text = Ihre Zahlung wird vorbereitet.
contacting-again = Ein neuer Versuch wird vorbereitet.
checking-text = Der Zahlungsdienst hat noch nicht geantwortet. Wir fragen weiter nach. Bitte bezahlen Sie nicht ein zweites Mal.
pay-title = Jetzt bezahlen
pay-opens = Die Zahlungsseite öffnet sich von selbst. Wenn nicht, tippen Sie auf die Schaltfläche.
pay-return = Noch nicht bezahlt? Tippen Sie auf die Schaltfläche. Wenn Sie bezahlt haben, erscheint das Ergebnis hier von selbst.
pay-retry = Sie können es noch einmal versuchen.
pay-button = Zahlungsseite öffnen
pay-let-go = Nächsten Kunden vorlassen
pay-give-up = Zahlung abbrechen
closing-title = Die Zahlung wird beendet
closing-text = Einen Moment, bitte. Bezahlen Sie jetzt nicht mehr.

# Warum es nicht ging
failed-password = Konto oder Passwort war falsch.
failed-tries = Das Passwort war zu oft falsch.
failed-funds = Auf dem Konto ist nicht genug Geld.
failed-declined = Die Zahlung wurde abgelehnt.
failed-not-allowed = Der Zahlungsdienst nimmt diese Zahlung nicht an.
failed-other = Die Zahlung hat nicht geklappt.

# Ergebnisse
paid-title = Bezahlt. Vielen Dank!
paid-text = Ihre Zahlung ist abgeschlossen. Zeigen Sie diese Seite an der Kasse, falls man Sie fragt.
returned-title = Sie bekommen Ihr Geld zurück
returned-text = Diese Zahlung wurde ganz zurückgegeben. Fragen? Wenden Sie sich bitte an die Kasse.
unpaid-title = Nicht bezahlt
unpaid-customer = Sie wollten nicht bezahlen.
unpaid-given-up = Die Zahlung wurde abgebrochen.
unpaid-expired = Die Zeit zum Bezahlen ist um.
unpaid-wrong-payment = Der Zahlungsdienst hat einen falschen Betrag genommen. Bitte wenden Sie sich an das Personal; es kümmert sich darum.
unpaid-till = Die Zahlung wurde an der Kasse abgebrochen.
unpaid-clock = Die Kasse konnte nicht länger warten.
unpaid-power-cut = Die Zahlung wurde unterbrochen.
unpaid-lapsed = Die Zahlung wurde nicht rechtzeitig bestätigt.
unpaid-next = Für einen neuen Versuch fragen Sie bitte an der Kasse.
unpaid-safe = Sollte doch noch Geld abgebucht werden, bekommen Sie es automatisch zurück.
back-on-its-way = Der zurückgegebene Betrag ist auf dem Weg zu Ihnen.
back-done = Der zurückgegebene Betrag wurde an Sie geschickt.
done-button = Fertig

# Geld zurück
choose-title = Sie bekommen Geld zurück
choose-all = Alles, was von der Zahlung übrig ist
choose-one = Geht es um diese Zahlung?
choose-which = Um welche Ihrer Zahlungen geht es?
choose-none = Keine Ihrer Zahlungen passt. Bitte fragen Sie an der Kasse.
choose-yes = Ja, { $amount } zurückbekommen
choose-no = Nein, das ist nicht für mich
choose-left = Davon noch übrig
choose-receipt = Belegnummer
returning-text = Ihr Geld wird zurückgegeben.
returning-checking = Der Zahlungsdienst hat noch nicht geantwortet. Wir fragen weiter nach.
given-title = Geld zurückgegeben
given-text = Der Betrag geht auf das Konto zurück, mit dem Sie bezahlt haben.
pending-title = Rückgabe noch nicht bestätigt
pending-text = Der Zahlungsdienst hat noch nicht geantwortet. Das Geschäft hat die Rückgabe festgehalten und fragt nach, bis sie geklärt ist. Sie brauchen nicht zu warten.
kept-title = Nichts zurückgegeben
kept-customer = Sie haben die Rückgabe abgelehnt.
kept-refused = Der Zahlungsdienst gibt diese Zahlung nicht zurück.
kept-till = Die Rückgabe wurde an der Kasse abgebrochen.
kept-power-cut = Die Rückgabe wurde unterbrochen.
kept-lapsed = Es wurde nicht rechtzeitig eine Zahlung gewählt.
kept-next = Wenn Sie Geld zurückbekommen sollen, fragen Sie bitte an der Kasse.

# Beleg
receipt-shop = Geschäft
receipt-till = Kasse
receipt-amount = Betrag
receipt-code = Code
receipt-time = Datum und Uhrzeit
receipt-sale = Vorgang
receipt-payment = Zahlung
receipt-return = Rückgabe
receipt-back = Zurückgegeben
receipt-keep = Um den Beleg zu behalten, machen Sie ein Bildschirmfoto oder speichern Sie ihn als Text.
receipt-text = Beleg als Text
receipt-paid = Bezahlt
receipt-unpaid = Nicht bezahlt
receipt-time-pattern = %d.%m.%Y, %H:%M

# Wenn etwas im Weg ist
busy-title = Gerade ist viel los
busy-text = Diese Seite versucht es von selbst noch einmal.
full-title = Das WLAN ist gerade voll
full-text = Bitte versuchen Sie es gleich noch einmal oder bezahlen Sie anders.
stale-title = Diese Seite ist veraltet
stale-text = Es ist nichts passiert. Gehen Sie zurück und versuchen Sie es noch einmal.
bad-title = Das hat nicht geklappt
bad-text = Etwas hat gefehlt oder war falsch. Es ist nichts passiert. Gehen Sie zurück und versuchen Sie es noch einmal.
back-button = Zurück
