//! `[till.line]`: how a serial line is set, and whether the till's protocol can live with that. Opens no port.

use super::place::Place;
use crate::config::reader::{Reader, Section, one_of};
use crate::till::{Flow, LineSettings, Parity, Protocol};
use std::ops::Range;

/// The speeds that serial ports commonly have.
const BAUDS: [u32; 11] = [1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600];

/// The line of a till; where nothing is said, what its protocol usually has.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    till: &mut Section<'t>,
    protocol: Protocol,
    place: Option<&Place>,
) -> LineSettings {
    let usual = protocol.line();
    let Some(section) = reader.section(till, "line") else { return usual };
    let span = section.span();
    if let Some(Place::Tcp { .. }) = place {
        reader.fault(&span, "a till on TCP has no serial line", "take [till.line] away");
    }
    let line = read_line(reader, section, usual);
    check(reader, &span, protocol, &line);
    line
}

fn read_line<'t>(reader: &mut Reader<'t>, mut line: Section<'t>, usual: LineSettings) -> LineSettings {
    let baud = reader.whole(&mut line, "baud", 1_200..=921_600).and_then(|at| {
        let found = BAUDS.into_iter().find(|b| u64::from(*b) == at.value);
        if found.is_none() {
            let all = BAUDS.map(|b| b.to_string());
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let what = format!("serial ports have no speed of {}", at.value);
            reader.fault(&at.span, what, one_of(&at.value.to_string(), &all));
        }
        found
    });
    let mut bits = |reader: &mut Reader<'t>, key, bounds, usual: u8| {
        let found = reader.whole(&mut line, key, bounds);
        found.and_then(|at| u8::try_from(at.value).ok()).unwrap_or(usual)
    };
    let seven_bits = bits(reader, "data_bits", 7..=8, if usual.seven_bits { 7 } else { 8 }) == 7;
    let two_stop_bits = bits(reader, "stop_bits", 1..=2, if usual.two_stop_bits { 2 } else { 1 }) == 2;
    let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let parity = reader.word(&mut line, "parity", &parities).map_or(usual.parity, |at| at.value);
    let flows = [("none", Flow::None), ("software", Flow::Software), ("hardware", Flow::Hardware)];
    let flow = reader.word(&mut line, "flow", &flows).map_or(usual.flow, |at| at.value);
    let rts = reader.switch(&mut line, "rts");
    let dtr = reader.switch(&mut line, "dtr");
    reader.end(line);
    LineSettings { baud: baud.unwrap_or(usual.baud), seven_bits, parity, two_stop_bits, flow, rts, dtr }
}

fn check(reader: &mut Reader<'_>, at: &Range<usize>, protocol: Protocol, line: &LineSettings) {
    // What a check sum of the protocol may be, an XON is as well.
    let (name, eight, any_byte) = match protocol {
        Protocol::Plain => ("plain", false, false),
        Protocol::Concert(_) => ("Concert", false, true),
        Protocol::Zvt(_) => ("ZVT", true, true),
    };
    if eight && line.seven_bits {
        reader.fault(at, format!("{name} needs 8 data bits: it sends bytes of all values"), "write data_bits = 8");
    } else if line.seven_bits && line.parity == Parity::None {
        reader.warn(
            at,
            "7 data bits without parity are rare",
            "tills that have 7 data bits mostly have parity = \"even\"",
        );
    }
    if any_byte && line.flow == Flow::Software {
        let what = format!("{name} sends bytes that software flow control would swallow");
        reader.fault(at, what, "write flow = \"none\", or \"hardware\" where the till has RTS and CTS");
    }
    if line.flow == Flow::Hardware && line.rts.is_some() {
        let what = "hardware flow control moves RTS itself";
        reader.fault(at, what, "take `rts` away, or write flow = \"none\"");
    }
}
