# English. The other languages have the same messages with the same variables; a test says what differs.

# Start
start-title = Pay with your phone
start-lead = No app needed. Connect, choose your till, pay.
start-till = You are at till { $till }.
start-ended = Your visit has ended. You can start again right here.
closed-text = Paying by phone is not possible at the moment. Please pay at the till in another way.
terms-title = Terms of use
terms-text = This Wi-Fi is for paying at the till. To take your payment, the shop processes the till, the amount and the time. Your account and password go to the payment service only; the shop never sees them.
start-accept = Accept and continue
language-label = Language

# The till's number
enter-title = Which till are you at?
enter-hint = The number is on the card at the till.
enter-label = Till number
enter-button = Continue
enter-wrong = There is no till { $till }. Please check the number on the card.
enter-no-number = That is not a till number. Please check the number on the card.
enter-guesses-left =
    { $count ->
        [one] One try left.
       *[other] { $count } tries left.
    }
enter-pause = That number was wrong too often. You can try again in a moment.
enter-not-mine = All right, that was not your purchase. When it is your turn, enter the till number again.
enter-confirm-over = The time to confirm is over. Still at the till? Enter the number again.
enter-idle = Nothing happened at the till for a while. Still there? Enter the number again.
enter-line-full = Too many phones are in line at that till. Wait a moment and enter the number again.
enter-let-go = Thank you! The next customer can pay now. When you are ready, enter the till number again.
log-out = Leave

# Waiting
line-title = Almost your turn
line-ahead =
    { $count ->
        [one] One customer is before you.
       *[other] { $count } customers are before you.
    }
keep-open = Please keep this page open.
waiting-title = Ready to pay
waiting-text = The cashier will now send the amount to your phone.
leave-till = Choose another till

# Confirm
confirm-title = Is this your purchase?
confirm-text = Compare the amount with the till. If the till shows a code, it must be the same.
confirm-yes = Yes, pay now
confirm-decline = I do not want to pay
confirm-not-mine = This is not my purchase
seconds-left = Seconds left
late-title = Not enough time left
late-text = Please ask the cashier to start the payment again.

# Paying
contacting-title = One moment, please
contacting-text = We are preparing your payment.
contacting-again = We are preparing a new try for you.
checking-text = The payment service has not answered yet. We keep asking. Please do not pay a second time.
pay-title = Pay now
pay-opens = The payment page opens by itself. If it does not, tap the button.
pay-return = Not paid yet? Tap the button. If you have paid, the result appears here by itself.
pay-retry = You can try again.
pay-button = Open the payment page
pay-let-go = Let the next customer pay first
pay-give-up = Cancel the payment
closing-title = Ending the payment
closing-text = One moment, please. Do not pay any more.

# Why it did not work
failed-password = The account or password was wrong.
failed-tries = The password was wrong too often.
failed-funds = There is not enough money in the account.
failed-declined = The payment was declined.
failed-not-allowed = The payment service does not accept this payment.
failed-other = The payment did not work.

# Results
paid-title = Paid. Thank you!
paid-text = Your payment is complete. If asked, show this page at the till.
returned-title = Your money goes back to you
returned-text = This payment was given back in full. Any questions? Please ask the cashier.
unpaid-title = Not paid
unpaid-customer = You chose not to pay.
unpaid-given-up = The payment was cancelled.
unpaid-expired = The time to pay is over.
unpaid-wrong-payment = The payment service took a wrong amount. Please talk to the staff; they will take care of it.
unpaid-till = The cashier stopped the payment.
unpaid-clock = The till could not wait any longer.
unpaid-power-cut = The payment was interrupted.
unpaid-lapsed = The payment was not confirmed in time.
unpaid-next = To try again, please ask the cashier.
unpaid-safe = If any money is still taken, you get it back automatically.
back-on-its-way = The amount given back is on its way to you.
back-done = The amount given back has been sent to you.
done-button = Done

# Giving back
choose-title = You get money back
choose-all = All that is left of the payment
choose-one = Is it about this payment?
choose-which = Which of your payments is it about?
choose-none = None of your payments fits. Please ask the cashier.
choose-yes = Yes, get { $amount } back
choose-no = No, this is not for me
choose-left = Still left of it
choose-receipt = Receipt number
returning-text = Your money is being given back.
returning-checking = The payment service has not answered yet. We keep asking.
given-title = Money given back
given-text = The amount goes back to the account that you paid with.
pending-title = Money back: not confirmed yet
pending-text = The payment service has not answered yet. The shop has put this on record and keeps asking until it is settled. You need not wait.
kept-title = Nothing given back
kept-customer = You chose that nothing be given back.
kept-refused = The payment service does not give this payment back.
kept-till = The cashier stopped it.
kept-power-cut = It was interrupted.
kept-lapsed = No payment was chosen in time.
kept-next = If you are to get money back, please ask the cashier.

# Receipt
receipt-shop = Shop
receipt-till = Till
receipt-amount = Amount
receipt-code = Code
receipt-time = Date and time
receipt-sale = Sale
receipt-payment = Payment
receipt-return = Return
receipt-back = Given back
receipt-keep = To keep this receipt, take a screenshot or save it as text.
receipt-text = Receipt as text
receipt-paid = Paid
receipt-unpaid = Not paid
receipt-time-pattern = %-d %b %Y, %H:%M

# When something is in the way
busy-title = It is busy right now
busy-text = This page tries again by itself.
full-title = The Wi-Fi is full right now
full-text = Please try again in a moment, or pay another way.
stale-title = This page is out of date
stale-text = Nothing has happened. Go back and try once more.
bad-title = That did not work
bad-text = Something was missing or wrong. Nothing has happened. Go back and try once more.
back-button = Go back
