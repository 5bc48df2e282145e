//! A till's program on the public crate zvt, as a process of its own: does over TCP what its standard input says and
//! prints what the crate understood. The crate has neither payment nor reversal, so these are declared here with its own
//! means; what the box answers is read by the crate alone.

use anyhow::{Context, Result, bail};
use std::pin::Pin;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use zvt::packets::{self, Ack};
use zvt::sequences::{self, AuthorizationResponse, Sequence, read_packet_async, write_with_ack_async};
use zvt::{Zvt, ZvtParser, ZvtSerializer, encoding, length};

const PASSWORD: usize = 123_456;
const EURO: usize = 978;

const USAGE: &str = "\
usage: tillgate-zvt-client HOST:PORT, then on standard input, one a line:
  register | register-without-currency | register-with-tlv | status | diagnosis | initialise | reset
  pay MINOR | pay-amount-only MINOR | reserve MINOR | reverse RECEIPT | refund MINOR [RECEIPT] | repeat | end-of-day
  abort-at-first-status     the next command is aborted when its first intermediate status comes
  hold                      the next result is printed and never acknowledged
Each command ends with a line `ok` or `failed: ...`";

/// 2.2
#[derive(Debug, Default, PartialEq, Zvt)]
#[zvt_control_field(class = 0x06, instr = 0x01)]
struct Authorization {
    #[zvt_bmp(number = 0x04, length = length::Fixed<6>, encoding = encoding::Bcd)]
    amount: Option<usize>,

    #[zvt_bmp(number = 0x49, length = length::Fixed<2>, encoding = encoding::Bcd)]
    currency: Option<usize>,
}

/// 2.9
#[derive(Debug, Default, PartialEq, Zvt)]
#[zvt_control_field(class = 0x06, instr = 0x30)]
struct Reversal {
    #[zvt_bmp(length = length::Fixed<3>, encoding = encoding::Bcd)]
    password: usize,

    #[zvt_bmp(number = 0x87, length = length::Fixed<2>, encoding = encoding::Bcd)]
    receipt_no: Option<usize>,
}

/// 2.15
#[derive(Debug, Default, PartialEq, Zvt)]
#[zvt_control_field(class = 0x06, instr = 0x31)]
struct Refund {
    #[zvt_bmp(length = length::Fixed<3>, encoding = encoding::Bcd)]
    password: usize,

    #[zvt_bmp(number = 0x04, length = length::Fixed<6>, encoding = encoding::Bcd)]
    amount: Option<usize>,

    #[zvt_bmp(number = 0x49, length = length::Fixed<2>, encoding = encoding::Bcd)]
    currency: Option<usize>,

    #[zvt_bmp(number = 0x87, length = length::Fixed<2>, encoding = encoding::Bcd)]
    receipt_no: Option<usize>,
}

/// 2.20
#[derive(Debug, Default, PartialEq, Zvt)]
#[zvt_control_field(class = 0x06, instr = 0x20)]
struct RepeatReceipt {
    #[zvt_bmp(length = length::Fixed<3>, encoding = encoding::Bcd)]
    password: usize,
}

/// 2.23
#[derive(Debug, Default, PartialEq, Zvt)]
#[zvt_control_field(class = 0x06, instr = 0xb0)]
struct AbortCommand {}

/// What the next command is to do besides.
#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    abort_at_first_status: bool,
    hold: bool,
}

struct Till {
    stream: TcpStream,
    habit: Habit,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context(USAGE)?;
    let stream = TcpStream::connect(&address).await.with_context(|| format!("cannot connect to {address}"))?;
    let mut till = Till { stream, habit: Habit::default() };
    let mut lines: Lines<BufReader<Stdin>> = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match till.does(line.trim()).await {
            Ok(()) => println!("ok"),
            Err(e) => println!("failed: {e}"),
        }
    }
    Ok(())
}

impl Till {
    async fn does(&mut self, line: &str) -> Result<()> {
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let mut numbers = words.map(|number| number.parse().context(USAGE));
        let number: usize = numbers.next().unwrap_or(Ok(0))?;
        let receipt_no: Option<usize> = numbers.next().transpose()?;
        let currency = Some(EURO);
        match word {
            "abort-at-first-status" => self.habit.abort_at_first_status = true,
            "hold" => self.habit.hold = true,
            "register" => self.registers(currency, None).await?,
            "register-without-currency" => self.registers(None, None).await?,
            "register-with-tlv" => {
                let tlv = packets::tlv::Registration { max_len_adpu: Some(1_024) };
                self.registers(currency, Some(tlv)).await?;
            }
            "status" => {
                let ask = packets::StatusEnquiry { password: None, service_byte: None, tlv: None };
                self.plays::<sequences::StatusEnquiry>(&ask).await?;
            }
            "diagnosis" => self.plays::<sequences::Diagnosis>(&packets::Diagnosis { tlv: None }).await?,
            "initialise" => {
                self.plays::<sequences::Initialization>(&packets::Initialization { password: PASSWORD }).await?;
            }
            "reset" => self.plays::<sequences::ResetTerminal>(&packets::ResetTerminal {}).await?,
            "end-of-day" => self.plays::<sequences::EndOfDay>(&packets::EndOfDay { password: PASSWORD }).await?,
            "reserve" => {
                let ask = packets::Reservation { amount: Some(number), currency, ..Default::default() };
                self.plays::<sequences::Reservation>(&ask).await?;
            }
            "pay" => self.asks(&Authorization { amount: Some(number), currency }).await?,
            "pay-amount-only" => self.asks(&Authorization { amount: Some(number), currency: None }).await?,
            "reverse" => self.asks(&Reversal { password: PASSWORD, receipt_no: Some(number) }).await?,
            "refund" => self.asks(&Refund { password: PASSWORD, amount: Some(number), currency, receipt_no }).await?,
            "repeat" => self.asks(&RepeatReceipt { password: PASSWORD }).await?,
            _ => bail!(USAGE),
        }
        Ok(())
    }

    async fn registers(&mut self, currency: Option<usize>, tlv: Option<packets::tlv::Registration>) -> Result<()> {
        let ask = packets::Registration { password: PASSWORD, config_byte: 0xde, currency, tlv };
        self.plays::<sequences::Registration>(&ask).await
    }

    /// A command as the crate plays it.
    async fn plays<S>(&mut self, ask: &S::Input) -> Result<()>
    where
        S: Sequence,
        S::Input: ZvtSerializer + Send + Sync,
        S::Output: std::fmt::Debug,
        encoding::Default: encoding::Encoding<S::Input>,
    {
        let mut answers = S::into_stream(ask, &mut self.stream);
        while let Some(answer) = answers.next().await {
            println!("{:?}", answer?);
        }
        Ok(())
    }

    /// A command that the crate does not have, in the crate's way: each answer is read, acknowledged and printed.
    async fn asks<T>(&mut self, ask: &T) -> Result<()>
    where
        T: ZvtSerializer + Send + Sync,
        encoding::Default: encoding::Encoding<T>,
    {
        let mut habit = std::mem::take(&mut self.habit);
        let mut stream = Pin::new(&mut self.stream);
        write_with_ack_async(ask, &mut stream).await?;
        loop {
            let bytes = read_packet_async(&mut stream).await?;
            if let Ok([class @ (0x80 | 0x84), ..]) = <[u8; 2]>::try_from(&bytes[..2]) {
                println!("abort {}", if class == 0x80 { "accepted" } else { "refused" });
                continue;
            }
            let answer = AuthorizationResponse::zvt_parse(&bytes)?;
            println!("{answer:?}");
            if habit.hold && matches!(answer, AuthorizationResponse::StatusInformation(_)) {
                std::future::pending::<()>().await;
            }
            stream.write_all(&Ack {}.zvt_serialize()).await?;
            match answer {
                AuthorizationResponse::IntermediateStatusInformation(_) => {
                    if std::mem::take(&mut habit.abort_at_first_status) {
                        stream.write_all(&AbortCommand {}.zvt_serialize()).await?;
                    }
                }
                AuthorizationResponse::StatusInformation(_)
                | AuthorizationResponse::PrintLine(_)
                | AuthorizationResponse::PrintTextBlock(_) => {}
                AuthorizationResponse::CompletionData(_) => return Ok(()),
                AuthorizationResponse::Abort(abort) => bail!("aborted {:02X}", abort.error),
            }
        }
    }
}
