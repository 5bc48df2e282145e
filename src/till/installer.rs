//! `tillgate till`: a till for installers, to try a cable. Plays the till's side and prints what a till would show.

use super::player::{DaySums, Ended, Last, Outcome, PlayError, Player, PlayerSettings, Shown, Sums, TillResult};
use super::port::{Flow, LineSettings, Parity};
use crate::shop::event::Ticket;
use crate::shop::money::{Amount, Currency};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::thread;

/// The sale was paid, or what was asked for came.
pub const EXIT_DONE: u8 = 0;
/// The sale was not paid, was refused, or there is nothing.
pub const EXIT_NOT_PAID: u8 = 1;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 2;
/// No answer, or not known.
pub const EXIT_NO_ANSWER: u8 = 3;

/// Play a till on a serial line, to try a cable
#[derive(Args, Clone, Debug)]
pub struct TillArgs {
    /// The serial port, such as /dev/serial/by-id/usb-FTDI_...
    #[arg(long)]
    port: PathBuf,
    /// Bits a second
    #[arg(long, default_value_t = 9_600)]
    baud: u32,
    /// Data bits, parity and stop bits
    #[arg(long, value_enum, default_value_t = Bits::Eight)]
    bits: Bits,
    /// Flow control
    #[arg(long, value_enum, default_value_t = FlowArg::None)]
    flow: FlowArg,
    /// Currency of the amounts
    #[arg(long, default_value = "EUR")]
    currency: String,
    /// File that keeps epoch, ticket and unfinished sale from one call to the next
    #[arg(long)]
    state: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bits {
    #[value(name = "8N1")]
    Eight,
    #[value(name = "8N2")]
    EightTwo,
    #[value(name = "8E1")]
    EightEven,
    #[value(name = "7E1")]
    SevenEven,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FlowArg {
    None,
    Software,
    Hardware,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Ask for a payment and wait for its end; Ctrl-C sends the abort
    Pay {
        /// Such as 12.50
        amount: String,
        /// The till's number for the sale; the same one again means the same sale
        #[arg(long)]
        ticket: Option<u32>,
        /// The epoch of that ticket
        #[arg(long, default_value_t = 1)]
        epoch: u32,
        /// How many seconds to wait for the customer
        #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=600))]
        patience: u64,
    },
    /// Ask to give money back
    Refund {
        /// Such as 12.50
        amount: String,
        /// Of the sale with this ticket; without it the customer's phone chooses
        #[arg(long)]
        of: Option<u32>,
        /// The epoch of that ticket
        #[arg(long, default_value_t = 1)]
        epoch: u32,
        /// How many seconds to wait for customer and platform
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
        patience: u64,
    },
    /// Ask to give back all that is left of a sale
    Reverse {
        /// Of the sale with this ticket; without it the customer's phone chooses
        #[arg(long)]
        of: Option<u32>,
        /// The epoch of that ticket
        #[arg(long, default_value_t = 1)]
        epoch: u32,
        /// How many seconds to wait for customer and platform
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
        patience: u64,
    },
    /// Ask for the sums of the day
    Day {
        /// Close the day with them
        #[arg(long)]
        close: bool,
    },
    /// Abort the sale under way
    Abort,
    /// Ask for the last result, or that of a ticket
    Last {
        /// The ticket; without it the unfinished one in the state file, or the last of all
        #[arg(long)]
        ticket: Option<u32>,
        /// The epoch of that ticket
        #[arg(long, default_value_t = 1)]
        epoch: u32,
    },
    /// Ask whether a sale would be possible now
    Status,
    /// Ask for the sums
    Totals {
        /// Of this epoch only
        #[arg(long)]
        epoch: Option<u32>,
    },
}

/// Plays the till. Returns the exit code; all that a person should read has been printed.
pub fn run(args: TillArgs) -> u8 {
    match play(args) {
        Ok(code) => code,
        Err(Failed::Usage(text)) => {
            eprintln!("error: {text}");
            EXIT_USAGE
        }
        Err(Failed::Play(e @ PlayError::NotUnderstood(_))) => {
            eprintln!("error: {e}");
            EXIT_USAGE
        }
        Err(Failed::Play(e)) => {
            eprintln!("error: {e}");
            EXIT_NO_ANSWER
        }
    }
}

enum Failed {
    Usage(String),
    Play(PlayError),
}

impl From<PlayError> for Failed {
    fn from(e: PlayError) -> Self {
        Failed::Play(e)
    }
}

fn play(args: TillArgs) -> Result<u8, Failed> {
    let currency = Currency::from_code(&args.currency)
        .ok_or_else(|| Failed::Usage(format!("{} is no currency: use three letters such as EUR", args.currency)))?;
    let amount = |text: &str| Amount::parse(text, currency).map_err(|e| Failed::Usage(e.to_string()));
    let ticket = |epoch: u32, number: Option<u32>| number.map(|number| Ticket { epoch: Some(epoch), number });
    // Amounts are read before the port is opened: a slip of the pen does not touch the line.
    let sum = match &args.what {
        What::Pay { amount: text, .. } | What::Refund { amount: text, .. } => amount(text)?,
        What::Reverse { .. }
        | What::Day { .. }
        | What::Abort
        | What::Last { .. }
        | What::Status
        | What::Totals { .. } => amount("0")?,
    };
    let settings = PlayerSettings { line: line_of(&args), memory: args.state.clone(), ..PlayerSettings::default() };
    let mut player = Player::open(&args.port, settings)?;
    let show = &mut print;
    Ok(match args.what {
        What::Pay { ticket: number, epoch, patience, .. } => {
            abort_on_ctrl_c(&player);
            ended(&player.pay(sum, ticket(epoch, number), patience, show)?)
        }
        What::Refund { of, epoch, patience, .. } => {
            abort_on_ctrl_c(&player);
            ended(&player.refund(sum, ticket(epoch, of), patience, show)?)
        }
        What::Reverse { of, epoch, patience } => {
            abort_on_ctrl_c(&player);
            ended(&player.reverse(sum, ticket(epoch, of), patience, show)?)
        }
        What::Day { close } => {
            let sums = player.day(show)?;
            print_day(&sums);
            if close {
                player.close_day(&sums, show)?;
                println!("day closed");
            }
            EXIT_DONE
        }
        What::Abort => {
            player.abort(None, show)?;
            EXIT_DONE
        }
        What::Last { ticket: number, epoch } => {
            let asked = ticket(epoch, number).or(player.unfinished());
            last(&player.last(asked, show)?)
        }
        What::Status => match player.status(show)? {
            Ok(()) => {
                println!("ready");
                EXIT_DONE
            }
            Err((word, text)) => {
                println!("not ready: {text} ({word})");
                EXIT_NOT_PAID
            }
        },
        What::Totals { epoch } => {
            print_totals(&player.totals(epoch, show)?);
            EXIT_DONE
        }
    })
}

fn last(last: &Last) -> u8 {
    match last {
        Last::Result(result) => code_of(result),
        Last::UnderWay => {
            println!("the sale is under way: ask again");
            EXIT_NO_ANSWER
        }
        Last::Nothing => {
            println!("no result");
            EXIT_NOT_PAID
        }
    }
}

fn print_totals(sums: &Sums) {
    let money = |minor| format!("{} {}", sums.currency.decimal(minor), sums.currency);
    println!("approved   {:>6}  {}", sums.approved, money(sums.approved_minor));
    println!("given back         {}", money(sums.given_back_minor));
    println!("not paid   {:>6}", sums.unpaid);
}

fn print_day(sums: &DaySums) {
    let money = |minor| format!("{} {}", sums.currency.decimal(minor), sums.currency);
    println!("approved   {:>6}  {}", sums.approved, money(sums.approved_minor));
    println!("given back {:>6}  {}", sums.given_back, money(sums.given_back_minor));
    println!("not paid   {:>6}", sums.unpaid);
}

fn line_of(args: &TillArgs) -> LineSettings {
    let (seven_bits, parity, two_stop_bits) = match args.bits {
        Bits::Eight => (false, Parity::None, false),
        Bits::EightTwo => (false, Parity::None, true),
        Bits::EightEven => (false, Parity::Even, false),
        Bits::SevenEven => (true, Parity::Even, false),
    };
    let flow = match args.flow {
        FlowArg::None => Flow::None,
        FlowArg::Software => Flow::Software,
        FlowArg::Hardware => Flow::Hardware,
    };
    LineSettings { baud: args.baud, seven_bits, parity, two_stop_bits, flow, ..LineSettings::default() }
}

fn print(shown: &Shown) {
    match shown {
        Shown::Accepted { code } => println!("accepted, code {code}"),
        Shown::Progress { text, .. } => println!("{text}"),
        Shown::Failed { try_no, text, new_attempt: false, .. } => println!("try {try_no} failed: {text}; again"),
        Shown::Failed { try_no, text, new_attempt: true, .. } => println!("try {try_no} failed: {text}; new attempt"),
        Shown::Aborting => println!("aborting"),
        Shown::NothingToAbort => println!("nothing to abort"),
        Shown::LineSilent => println!("the box does not answer, trying on; check the cable"),
        Shown::Result(result) => {
            println!("----------------------------------------");
            for line in &result.lines {
                println!("{line}");
            }
            println!("----------------------------------------");
        }
    }
}

fn ended(ended: &Ended) -> u8 {
    match ended {
        Ended::Result(result) => code_of(result),
        Ended::NeverBegan => {
            println!("the sale never began");
            EXIT_NOT_PAID
        }
        Ended::Refused { reason, text } => {
            println!("refused: {text} ({reason})");
            EXIT_NOT_PAID
        }
    }
}

fn code_of(result: &TillResult) -> u8 {
    match result.outcome {
        Outcome::Approved | Outcome::Refunded => EXIT_DONE,
        Outcome::Returned | Outcome::Declined | Outcome::Cancelled | Outcome::Lapsed => EXIT_NOT_PAID,
    }
}

/// The first Ctrl-C aborts the sale, the second one ends the program with the sale unknown. Where the system gives no
/// signals the sale cannot be aborted from the keyboard and the customer's time ends it.
fn abort_on_ctrl_c(player: &Player) {
    let key = player.abort_key();
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                key.press();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(i32::from(EXIT_NO_ANSWER));
            }
        });
    });
}
