//! The till's side of ZVT against bytes written down by hand, on a pty and over TCP; the test plays the box.

use serialport::{SerialPort, TTYPort};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;
use tillgate::shop::money::{Amount, Currency};
use tillgate::till::zvt::player::{Answer, CONFIG, Ended, Player, PlayerSettings, Shown, TillError};
use tillgate::till::zvt::player_told::Told;
use tillgate::till::zvt::player_wire::Wire;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_serial_till_acknowledges_frames_and_doubles_what_looks_like_their_ends() {
    let box_side = "
        < 10 02 06 01 0A 04 00 00 00 00 10 10 00 49 09 78 10 03 27 60
        > 06 10 02 80 00 00 10 03 F5 1F
        < 06
        > 10 02 04 FF 02 0E 03 10 03 68 D4
        < 06 10 02 80 00 00 10 03 F5 1F
        > 06
        > 10 02 04 0F 11 27 00 04 00 00 00 00 10 10 00 49 09 78 87 00 10 10 8A 61 10 03 BC EE
        < 06 10 02 80 00 00 10 03 F5 1F
        > 06 10 02 06 D1 06 00 54 6F 74 61 6C 10 03 6A 77
        < 06 10 02 80 00 00 10 03 F5 1F
        > 06 10 02 06 0F 00 10 03 C6 33
        < 06 10 02 80 00 00 10 03 F5 1F
        > 06";
    let (mut till, played) = serial(settings(), box_side);
    let mut shown = Vec::new();
    let ended = till.pay(eur("10.00"), &mut |s| shown.push(s.clone())).unwrap();
    let told = ended.told.unwrap();
    assert_eq!((told.amount_minor, told.receipt, told.card_type), (Some(1_000), Some(10), Some(0x61)));
    assert_eq!((ended.how, ended.lines), (Ok(Told::default()), vec!["Total".to_owned()]));
    assert_eq!(shown[0], Shown::Accepted);
    assert_eq!(shown[1], Shown::Waiting { code: 0x0e, text: "please wait".to_owned() });
    assert_eq!(shown.len(), 3);
    played.join().unwrap();
}

#[test]
fn a_frame_that_is_refused_or_not_acknowledged_is_sent_again_and_a_bad_one_is_refused() {
    let box_side = "
        < 10 02 05 01 00 10 03 10 06
        > 15
        < 10 02 05 01 00 10 03 10 06
        > 06
        > 10 02 80 00 00 10 03 F5 1E
        < 15
        > 00 FF 10 02 80 00 00 10 03 F5 1F
        < 06
        > 10 02 06 0F
        < 15
        > 10 02 06 0F 00 10 03 C6 33
        < 06 10 02 80 00 00 10 03 F5 1F
        > 06";
    let (mut till, played) = serial(settings(), box_side);
    assert!(till.status(&mut |_| {}).unwrap().how.is_ok());
    played.join().unwrap();
}

#[test]
fn over_tcp_nothing_stands_around_the_messages_and_they_may_be_cut_anywhere() {
    let box_side = "
        < 06 00 06 12 34 56 8E 09 78
        > 80
        > 00 00 06
        > 0F 0A 19 00 29 00 00 00 07 49 09 78
        < 80 00 00
        < 06 01 0A 04 00 00 00 00 12 50 49 09 78
        > 80 00 00 04 FF 0D FF 01 06 09 24 07 07 05 43 6F 64 65 21 04
        < 80 00 00
        > 0F 02 27 6C
        < 80 00 00
        > 06 1E 01 6C
        < 80 00 00";
    let (mut till, played) = tcp(PlayerSettings { password: 123_456, ..settings() }, box_side);
    let registered = till.register(&mut |_| {}).unwrap().how.unwrap();
    assert_eq!((registered.terminal, registered.currency), (Some(7), Some(978)));
    let mut shown = Vec::new();
    let ended = till.pay(eur("12.50"), &mut |s| shown.push(s.clone())).unwrap();
    assert_eq!((ended.how, ended.told.unwrap().result), (Err(0x6c), Some(0x6c)));
    assert!(shown.contains(&Shown::Waiting { code: 0xff, text: "Code!".to_owned() }), "{shown:?}");
    played.join().unwrap();
}

#[test]
fn every_command_is_written_as_the_specification_has_it() {
    let done = "> 80 00 00 06 0F 00\n< 80 00 00\n";
    type Call = fn(&mut Player) -> Result<Ended, TillError>;
    let commands: [(&str, Call); 6] = [
        ("06 30 06 00 00 00 87 00 42", |till| till.reverse(42, &mut |_| {})),
        ("06 31 0D 00 00 00 04 00 00 00 00 05 00 49 09 78", |till| till.refund(eur("5"), &mut |_| {})),
        ("06 20 03 00 00 00", |till| till.repeat(&mut |_| {})),
        ("06 50 03 00 00 00", |till| till.end_of_day(&mut |_| {})),
        ("06 10 03 00 00 00", |till| till.totals(&mut |_| {})),
        ("06 00 0E 00 00 00 8E 09 78 06 06 26 04 0A 02 06 D3", |till| till.register(&mut |_| {})),
    ];
    let script: String = commands.iter().map(|(bytes, _)| format!("< {bytes}\n{done}")).collect();
    let (mut till, played) = tcp(PlayerSettings { takes_blocks: true, ..settings() }, &script);
    for (_, call) in commands {
        assert!(call(&mut till).unwrap().how.is_ok());
    }
    played.join().unwrap();
}

#[test]
fn a_till_aborts_by_its_own_command_and_is_told_whether_that_is_possible() {
    for (answer, expected) in [("80 00 00", Shown::Aborting), ("84 83 00", Shown::CannotAbort)] {
        let box_side = format!(
            "< 06 01 0A 04 00 00 00 00 12 50 49 09 78
             > 80 00 00
             < 06 B0 00
             > {answer} 06 1E 01 6C
             < 80 00 00"
        );
        let (mut till, played) = tcp(settings(), &box_side);
        let key = till.abort_key();
        let mut shown = Vec::new();
        let ended = till.pay(eur("12.50"), &mut |s| {
            if *s == Shown::Accepted {
                key.press();
            }
            shown.push(s.clone());
        });
        assert_eq!(ended.unwrap().how, Err(0x6c));
        assert_eq!(shown, [Shown::Accepted, expected]);
        played.join().unwrap();
    }
}

#[test]
fn a_result_is_put_off_or_rejected_as_the_till_decides() {
    for (answer, bytes) in [(Answer::Wait, "84 9C 00"), (Answer::Rejected(0x66), "84 66 00")] {
        let box_side = format!(
            "< 06 01 0A 04 00 00 00 00 12 50 49 09 78
             > 80 00 00 04 0F 02 27 00
             < {bytes}
             > 06 0F 00
             < 80 00 00"
        );
        let answers: fn(&Told) -> Answer =
            if answer == Answer::Wait { |_| Answer::Wait } else { |_| Answer::Rejected(0x66) };
        let (mut till, played) = tcp(PlayerSettings { answer: answers, ..settings() }, &box_side);
        assert!(till.pay(eur("12.50"), &mut |_| {}).unwrap().how.is_ok());
        played.join().unwrap();
    }
}

#[test]
fn a_refusal_a_block_of_text_and_an_unknown_message_are_understood() {
    let box_side = "
        < 06 01 0A 04 00 00 00 00 12 50 49 09 78
        > 84 A3 00
        < 06 20 03 00 00 00
        > 80 00 00 06 D3 10 06 0E 1F 07 01 01 25 08 07 02 4B 37 07 00 09 00 04 01 00
        < 80 00 00 84 83 00
        > 06 0F 00
        < 80 00 00";
    let (mut till, played) = tcp(settings(), box_side);
    let refused = till.pay(eur("12.50"), &mut |_| {}).unwrap_err();
    assert_eq!(refused.to_string(), "refused: no line to the payment platform (A3)");
    let repeated = till.repeat(&mut |_| {}).unwrap();
    assert_eq!(repeated.lines, ["K7", ""]);
    played.join().unwrap();
}

#[test]
fn a_box_that_hangs_up_or_answers_nothing_is_said_to() {
    let (mut till, played) = tcp(settings(), "< 05 01 00\nhangs up");
    let hung_up = till.status(&mut |_| {}).unwrap_err();
    assert!(hung_up.to_string().contains("hung up"), "{hung_up}");
    played.join().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_quiet, _) = listener.accept().unwrap();
    let mut till = Player::new(Wire::connected(stream).unwrap(), settings());
    assert!(matches!(till.status(&mut |_| {}), Err(TillError::Silent)));
}

fn settings() -> PlayerSettings {
    PlayerSettings {
        currency: Currency::from_code("EUR").unwrap(),
        password: 0,
        config: CONFIG,
        takes_blocks: false,
        answer: |_| Answer::Taken,
    }
}

fn eur(text: &str) -> Amount {
    Amount::parse(text, Currency::from_code("EUR").unwrap()).unwrap()
}

fn serial(settings: PlayerSettings, script: &str) -> (Player, JoinHandle<Option<TTYPort>>) {
    let (mut master, slave) = TTYPort::pair().unwrap();
    master.set_timeout(PATIENCE).unwrap();
    (Player::new(Wire::over(slave), settings), plays(master, script))
}

fn tcp(settings: PlayerSettings, script: &str) -> (Player, JoinHandle<Option<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    other.set_nodelay(true).unwrap();
    (Player::new(Wire::connected(stream).unwrap(), settings), plays(other, script))
}

/// Plays the box: `<` what must come, `>` what is said then. The line stays open until this is joined, or `hangs up`.
fn plays<L: Read + Write + Send + 'static>(mut line: L, script: &str) -> JoinHandle<Option<L>> {
    let script = script.to_owned();
    std::thread::spawn(move || {
        for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
            let (way, hex) = step.split_once(' ').unwrap();
            let bytes = || -> Vec<u8> { hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect() };
            match way {
                ">" => line.write_all(&bytes()).unwrap(),
                "<" => {
                    let mut came = vec![0; bytes().len()];
                    line.read_exact(&mut came).unwrap();
                    assert_eq!(came, bytes(), "{step}");
                }
                _ => return None,
            }
        }
        Some(line)
    })
}
