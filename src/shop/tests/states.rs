//! Every state against every event: `states.txt` has what comes of each. Compares; does not write the file.

use super::world::play;
use std::fmt::Write;

/// A state, and the way to it.
#[rustfmt::skip]
const STATES: &[(&str, &str)] = &[
    ("Waiting", "ask 12.50 #1"),
    ("Offered", "a at 7; b at 7; ask 12.50 #1"),
    ("Paying, intent", "a at 7; b at 7; ask 12.50 #1; a confirm"),
    ("Paying, open", "a at 7; b at 7; ask 12.50 #1; a confirm; open"),
    ("Paying, in doubt", "a at 7; b at 7; ask 12.50 #1; a confirm; open; unknown"),
    ("Paying, second attempt", "a at 7; b at 7; ask 12.50 #1; a confirm; open; funds; open"),
    ("Aborting, by the till", "a at 7; b at 7; ask 12.50 #1; a confirm; open; abort"),
    ("Aborting, by the customer", "a at 7; b at 7; ask 12.50 #1; a confirm; open; a giveup"),
    ("Aborting, let go", "a at 7; b at 7; ask 12.50 #1; a confirm; open; a letgo"),
    ("Approved, being told", "a at 7; b at 7; ask 12.50 #1; a confirm; open; paid"),
    ("Approved, taken", "a at 7; b at 7; ask 12.50 #1; a confirm; open; paid; take"),
    ("Approved, put off", "a at 7; b at 7; ask 12.50 #1; a confirm; open; paid; later"),
    ("Approved, unheard", "a at 7; b at 7; ask 12.50 #1; a confirm; open; paid; unheard"),
    ("Approved, rejected", "a at 7; b at 7; ask 12.50 #1; a confirm; open; paid; reject"),
    ("Declined", "a at 7; b at 7; ask 12.50 #1; a confirm; open; funds; open; funds; open; funds"),
    ("Cancelled, attempt still open", "a at 7; b at 7; ask 12.50 #1; a confirm; open; abort; +3s"),
    ("Cancelled, attempt closed", "a at 7; b at 7; ask 12.50 #1; a confirm; open; abort; closed"),
    ("Lapsed", "a at 7; ask 12.50 #1 ~36; +31s"),
    ("Return, choosing", "a at 7; ask 12.50 #3; a confirm; open; paid; take; a finish; a at 7; b at 7; refund 5.00 #1"),
    ("Return, sending", "a at 7; ask 12.50 #3; a confirm; open; paid; take; a finish; a at 7; b at 7; refund 5.00 #1; a choose"),
    ("Return, sending, in doubt", "a at 7; ask 12.50 #3; a confirm; open; paid; take; refund 5.00 of #3 #1; refund-unknown"),
    ("Return, pending, being told", "a at 7; ask 12.50 #3; a confirm; open; paid; take; refund 5.00 of #3 #1; +85s"),
    ("Return, pending, taken", "a at 7; ask 12.50 #3; a confirm; open; paid; take; refund 5.00 of #3 #1; +85s; take"),
    ("Return, done, being told", "a at 7; ask 12.50 #3; a confirm; open; paid; take; refund 5.00 of #3 #1; refunded"),
    ("Return, done, taken", "a at 7; ask 12.50 #3; a confirm; open; paid; take; refund 5.00 of #3 #1; refunded; take"),
    ("Return, refused", "a at 7; ask 12.50 #3; a confirm; open; paid; take; refund 5.00 of #3 #1; refund-refused"),
    ("Return, declined", "a at 7; ask 12.50 #3; a confirm; open; paid; take; a finish; a at 7; b at 7; refund 5.00 #1; a refuse"),
];

/// An event: its name, its script, and whether it is about an attempt.
#[rustfmt::skip]
const EVENTS: &[(&str, &str, bool)] = &[
    ("same ticket", "ask 12.50 #1", false),
    ("same ticket, other amount", "ask 13.00 #1", false),
    ("other ticket", "ask 12.50 #2", false),
    ("same refund", "refund 5.00 of #3 #1", false),
    ("same refund, other ticket", "refund 5.00 of #3 #2", false),
    ("refund, the phone chooses", "refund 5.00 #1", false),
    ("reversal", "reverse of #3 #2", false),
    ("last receipt is 2", "knows 2", false),
    ("last receipt is 1", "knows 1", false),
    ("abort", "abort", false),
    ("last result?", "last", false),
    ("taken", "take", false),
    ("later", "later", false),
    ("rejected", "reject", false),
    ("unheard", "unheard", false),
    ("online", "online", false),
    ("offline", "offline", false),
    ("confirm", "a confirm", false),
    ("confirm, other phone", "b confirm", false),
    ("choose", "a choose", false),
    ("choose, other amount", "a choose 1 4.99", false),
    ("choose, other phone", "b choose", false),
    ("refuse", "a refuse", false),
    ("refuse, other phone", "b refuse", false),
    ("decline", "a decline", false),
    ("not mine", "a notmine", false),
    ("give up", "a giveup", false),
    ("let go", "a letgo", false),
    ("saw", "a saw", false),
    ("leave", "a leave", false),
    ("finish", "a finish", false),
    ("log out", "a logout", false),
    ("answer open", "open", true),
    ("answer try failed", "try", true),
    ("answer failed", "funds", true),
    ("answer paid", "paid", true),
    ("answer other amount", "wrong 1.00", true),
    ("answer other id", "foreign", true),
    ("answer late money", "late", true),
    ("answer cancelled", "cancelled", true),
    ("answer expired", "expired", true),
    ("answer refused", "refused", true),
    ("answer tombstone", "tombstone", true),
    ("no answer", "unknown", true),
    ("answer not found", "notfound", true),
    ("no connection", "down", true),
    ("refund accepted", "refund-taken", true),
    ("refund done", "refunded", true),
    ("refund refused", "refund-refused", true),
    ("refund unknown", "refund-unknown", true),
    ("3 seconds", "+3s", false),
    ("2 minutes", "+2m", false),
    ("restart", "restart", false),
    ("reboot", "reboot", false),
];

/// The table: a paragraph a state, a line an event; events of which nothing comes stand together in the last line.
fn table() -> String {
    let mut table = String::from(
        "What comes of every event in every state, phone a being the one that pays and b the next in line.\n",
    );
    for (state, way) in STATES {
        writeln!(table, "\n{state}\n  {way}").unwrap();
        let mut nothing = Vec::new();
        let events = EVENTS.iter().filter(|(_, _, attempt)| !attempt || way.contains("confirm"));
        let has_refund = way.contains("of #3") || way.contains("choose") || way.contains("reject");
        let returns = |name: &str| name.contains("refund") || name.contains("reversal") || name.contains("choose");
        for (name, script, attempt) in events {
            // Refunds are answered where there is one; and each is asked for where something is paid.
            if returns(name) && ((*attempt && !has_refund) || (!attempt && !way.contains("paid"))) {
                continue;
            }
            // Phones that stand nowhere say nothing about the state.
            let came = play(&format!("{way}; {script}")).replace("; c:enter; d:enter", "");
            match came.as_str() {
                "" => nothing.push(*name),
                came => writeln!(table, "    {name:<26}{came}").unwrap(),
            }
        }
        writeln!(table, "    nothing comes of: {}", nothing.join(", ")).unwrap();
    }
    table
}

#[test]
fn every_event_in_every_state_is_decided() {
    let table = table();
    for (line, (is, was)) in table.lines().zip(include_str!("states.txt").lines()).enumerate() {
        assert_eq!(is, was, "\nline {} of states.txt; the whole:\n{table}", line + 1);
    }
    assert_eq!(table.lines().count(), include_str!("states.txt").lines().count(), "{table}");
}
