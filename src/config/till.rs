//! The tills of a configuration: their numbers, ports and line settings. Opens no port.

use super::reader::{At, Reader, Section, one_of};
use crate::shop::event::TillNumber;
use crate::till::concert::ConcertOptions;
use crate::till::{Flow, LineSettings, Parity, Protocol};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// More tills than this are a mistake.
const TILLS_MAX: usize = 256;

/// What the narrowest common receipt paper (58 mm) holds.
const COLUMNS: usize = 32;

/// The speeds that serial ports commonly have.
const BAUDS: [u32; 11] = [1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600];

/// `[[till]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Till {
    /// What customers type. No two tills have the same.
    pub number: TillNumber,
    /// What people call it besides; may be empty.
    pub label: String,
    /// The serial port, as written. No two tills have the same.
    pub port: PathBuf,
    /// What it speaks.
    pub protocol: Protocol,
    /// Width of its paper in characters, 20 to 40.
    pub columns: usize,
    /// How its line is set.
    pub line: LineSettings,
}

/// The tills in the file. Where any is wrong, a fault was found.
pub(super) fn read<'t>(reader: &mut Reader<'t>, root: &mut Section<'t>) -> Vec<Till> {
    let sections = reader.sections(root, "till");
    if sections.is_empty() {
        reader.fault(&(0..0), "there is no till", "add [[till]] with number and port for each till");
    }
    if let Some(one) = sections.get(TILLS_MAX) {
        reader.fault(&one.span(), format!("there are more than {TILLS_MAX} tills"), "use a second gateway");
        return Vec::new();
    }
    let mut tills = Vec::new();
    let mut numbers: Vec<At<TillNumber>> = Vec::new();
    let mut ports: Vec<At<PathBuf>> = Vec::new();
    for section in sections {
        tills.extend(read_till(reader, section, &mut numbers, &mut ports));
    }
    tills
}

fn read_till<'t>(
    reader: &mut Reader<'t>,
    mut section: Section<'t>,
    numbers: &mut Vec<At<TillNumber>>,
    ports: &mut Vec<At<PathBuf>>,
) -> Option<Till> {
    let number = reader.need_whole(&mut section, "number", 1..=u64::from(TillNumber::MAX));
    let label = reader.text(&mut section, "label");
    let port = reader.need_text(&mut section, "port", "/dev/serial/by-id/usb-...-port0");
    let protocol = reader.word(
        &mut section,
        "protocol",
        &[("plain", Protocol::Plain), ("concert", Protocol::Concert(ConcertOptions::default()))],
    );
    let columns = reader.whole(&mut section, "columns", 20..=40).and_then(|at| usize::try_from(at.value).ok());
    let line = match reader.section(&mut section, "line") {
        Some(line) => read_line(reader, line),
        None => LineSettings::default(),
    };
    reader.end(section);
    let number = number.and_then(|at| {
        let value = TillNumber::new(u16::try_from(at.value).ok()?)?;
        Some(At { value, span: at.span })
    });
    let port = port.and_then(|text| {
        let value = super::absolute(reader, &text)?;
        check_port(reader, &value, &text.span, ports);
        Some(value)
    });
    let number = number?;
    let value = number.value;
    match numbers.iter().find(|other| other.value == value) {
        Some(first) => {
            let line = reader.line(&first.span);
            let what = format!("till {value} is on line {line} already");
            reader.fault(&number.span, what, "give each till a number of its own");
        }
        None => numbers.push(number),
    }
    let label = label.map_or_else(String::new, |l| l.value.to_owned());
    let protocol = protocol.map_or(Protocol::Plain, |p| p.value);
    Some(Till { number: value, label, port: port?, protocol, columns: columns.unwrap_or(COLUMNS), line })
}

/// One port, one till, whatever the port is called.
fn check_port(reader: &mut Reader<'_>, port: &Path, at: &Range<usize>, ports: &mut Vec<At<PathBuf>>) {
    let real = match std::fs::canonicalize(port) {
        Ok(real) => real,
        Err(_) => {
            let what = format!("there is no {} now", port.display());
            reader.warn(at, what, "plug the till in, or look in /dev/serial/by-id for its name");
            port.to_owned()
        }
    };
    match ports.iter().find(|other| other.value == real) {
        Some(first) => {
            let line = reader.line(&first.span);
            let what = format!("the port on line {line} is this one, {}", real.display());
            reader.fault(at, what, "give each till a port of its own");
        }
        None => ports.push(At { value: real, span: at.clone() }),
    }
}

fn read_line<'t>(reader: &mut Reader<'t>, mut line: Section<'t>) -> LineSettings {
    let default = LineSettings::default();
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
    let mut bits = |reader: &mut Reader<'t>, key, bounds, default: u8| {
        let found = reader.whole(&mut line, key, bounds);
        found.and_then(|at| u8::try_from(at.value).ok()).unwrap_or(default)
    };
    let seven_bits = bits(reader, "data_bits", 7..=8, 8) == 7;
    let two_stop_bits = bits(reader, "stop_bits", 1..=2, 1) == 2;
    let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let parity = reader.word(&mut line, "parity", &parities).map_or(default.parity, |at| at.value);
    let flows = [("none", Flow::None), ("software", Flow::Software), ("hardware", Flow::Hardware)];
    let flow = reader.word(&mut line, "flow", &flows).map_or(default.flow, |at| at.value);
    let rts = reader.switch(&mut line, "rts");
    let dtr = reader.switch(&mut line, "dtr");
    reader.end(line);
    LineSettings { baud: baud.unwrap_or(default.baud), seven_bits, parity, two_stop_bits, flow, rts, dtr }
}
