//! The demonstration played by hand: the real daemon, platform and till, and a customer at a real browser.

use crate::browser::Browser;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A running demonstration; ends when dropped.
struct Demo {
    process: Child,
    page: String,
    portal: String,
}

impl Demo {
    fn start() -> Demo {
        let mut process = Command::new(env!("CARGO_BIN_EXE_tillgate"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (mut page, mut portal) = (String::new(), String::new());
        for line in lines {
            let address =
                line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_default().to_owned();
            if line.trim_start().starts_with("portal") {
                portal = address;
            } else if line.starts_with("Open") {
                page = address;
                break;
            }
        }
        assert!(!page.is_empty() && !portal.is_empty(), "the demo does not say where it is");
        Demo { process, page, portal }
    }

    /// Presses the till's pay key.
    fn pay(&self, amount: &str) {
        let host = self.page.trim_start_matches("http://").trim_end_matches('/');
        let body = format!("amount={amount}");
        let mut socket = TcpStream::connect(host).unwrap();
        write!(
            socket,
            "POST /pay HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

fn pay_at_checkout(phone: &Browser, account: &str, password: &str) {
    phone.see("Corner Shop");
    phone.write("#account", account);
    phone.write("#password", password);
    phone.tap("button.pay");
}

fn play(js: bool) {
    let demo = Demo::start();
    let phone = Browser::start(js);
    let picture = |name: &str| phone.picture(&format!("demo-{}-{name}", if js { "js" } else { "plain" }));
    phone.open(&demo.portal);
    phone.see("Accept and continue");
    phone.tap("button.main");
    phone.see("Which till are you at?");
    phone.write("#till", "1");
    phone.tap("button.main");
    phone.see("Ready to pay");
    demo.pay("12.50");
    phone.see("Is this your purchase?");
    phone.see("€12.50");
    picture("1-confirm");
    phone.tap("form[action$=confirm] button");

    // The page goes to the checkout by itself.
    phone.see("Account");
    picture("2-checkout");
    pay_at_checkout(&phone, "anna", "wrong");
    phone.see("wrong");
    picture("3-wrong-password");
    pay_at_checkout(&phone, "poor", "tillgate");
    // The platform's page leads back to the shop by itself.
    phone.see("There is not enough money in the account.");
    phone.see("You can try again.");
    picture("4-new-attempt");
    phone.tap("a.main");
    pay_at_checkout(&phone, "anna", "tillgate");
    phone.see("Paid. Thank you!");
    picture("5-paid");
    if js {
        phone.open(&demo.page);
        phone.see("PAID");
        picture("6-till-and-phone");
    }
}

#[test]
fn the_demonstration_is_played_with_scripts() {
    play(true);
}

#[test]
fn the_demonstration_is_played_without_scripts() {
    play(false);
}
