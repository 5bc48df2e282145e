//! `tillgate till --protocol zvt`: prints what a ZVT till would show and print. Speaks through the player.

use super::player::{Answer, CONFIG, Ended, Player, PlayerSettings, Show, Shown, TillError};
use super::player_told as told;
use super::player_wire::{Place, Wire};
use crate::shop::money::{Amount, Currency};
use crate::till::installer::{EXIT_DONE, EXIT_NO_ANSWER, EXIT_NOT_PAID, abort_on_ctrl_c};
use crate::till::port::LineSettings;
use clap::Args;

/// What a ZVT till is besides its line.
#[derive(Args, Clone, Debug)]
pub struct ZvtArgs {
    /// zvt: the six digits with which the till registers
    #[arg(long, default_value = "000000", value_parser = password)]
    password: u32,
    /// zvt: what the till wants, the config byte of its registration in hexadecimal
    #[arg(long, default_value = "8E", value_parser = config)]
    config: u8,
    /// zvt: do not register first, as a till does that has been switched on long ago
    #[arg(long)]
    registered: bool,
}

/// What the till is to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be registered, nothing else.
    Register,
    /// A payment.
    Pay(Amount),
    /// The payment with this receipt number back.
    Reverse(u16),
    /// Money back.
    Refund(Amount),
    /// The last result again.
    Repeat,
    /// How the box is.
    Status,
    /// The sums.
    Totals,
    /// The sums, and a new day.
    EndOfDay,
}

/// A till to be played once.
#[derive(Clone, Debug)]
pub struct ZvtTill {
    /// Where the box is.
    pub place: Place,
    /// How the line is set, if it is serial.
    pub line: LineSettings,
    /// Of amounts and registration.
    pub currency: Currency,
    /// The rest.
    pub args: ZvtArgs,
}

impl ZvtTill {
    /// Plays it. Returns the exit code; all that a person should read has been printed.
    pub fn play(&self, wish: Wish) -> u8 {
        match self.ask(wish) {
            Ok(ended) => report(&ended),
            Err(e @ TillError::Refused(_)) => {
                println!("{e}");
                EXIT_NOT_PAID
            }
            Err(e @ (TillError::Silent | TillError::Unknown | TillError::Line(_))) => {
                eprintln!("error: {e}");
                EXIT_NO_ANSWER
            }
        }
    }

    fn ask(&self, wish: Wish) -> Result<Ended, TillError> {
        let ZvtArgs { password, config, registered } = self.args;
        let settings =
            PlayerSettings { currency: self.currency, password, config, takes_blocks: true, answer: |_| Answer::Taken };
        let mut till = Player::new(Wire::open(&self.place, &self.line)?, settings);
        let show: Show = &mut print;
        if !registered && wish != Wish::Register {
            let ended = till.register(&mut |_| {})?;
            if let Err(code) = ended.how {
                println!("registration failed");
                return Ok(Ended { how: Err(code), ..ended });
            }
            println!("registered");
        }
        match wish {
            Wish::Register => till.register(show),
            Wish::Pay(amount) => {
                let key = till.abort_key();
                abort_on_ctrl_c(move || key.press());
                till.pay(amount, show)
            }
            Wish::Reverse(receipt) => till.reverse(receipt, show),
            Wish::Refund(amount) => till.refund(amount, show),
            Wish::Repeat => till.repeat(show),
            Wish::Status => till.status(show),
            Wish::Totals => till.totals(show),
            Wish::EndOfDay => till.end_of_day(show),
        }
    }
}

fn print(shown: &Shown) {
    match shown {
        Shown::Accepted => println!("accepted"),
        Shown::Waiting { text, .. } => println!("{text}"),
        Shown::Told(told) => told.lines().iter().for_each(|line| println!("  {line}")),
        Shown::Aborting => println!("aborting"),
        Shown::CannotAbort => println!("cannot be aborted any more"),
    }
}

fn report(ended: &Ended) -> u8 {
    if !ended.lines.is_empty() {
        println!("----------------------------------------");
        ended.lines.iter().for_each(|line| println!("{line}"));
        println!("----------------------------------------");
    }
    match &ended.how {
        Ok(completion) => {
            completion.lines().iter().for_each(|line| println!("  {line}"));
            println!("done");
            EXIT_DONE
        }
        Err(code) => {
            println!("not done: {} ({code:02X})", told::code_text(*code));
            EXIT_NOT_PAID
        }
    }
}

fn password(text: &str) -> Result<u32, String> {
    let six_digits = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
    six_digits.then(|| text.parse().ok()).flatten().ok_or_else(|| "six digits, such as 000000".to_owned())
}

fn config(text: &str) -> Result<u8, String> {
    u8::from_str_radix(text, 16).map_err(|_| format!("two hexadecimal digits, such as {CONFIG:02X}"))
}
