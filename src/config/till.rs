//! The tills of a configuration: their numbers, ports, protocols and line settings. Opens no port.

mod line;
mod place;
mod speech;

use super::reader::{At, Reader, Section};
use crate::shop::event::TillNumber;
use crate::till::{LineSettings, Port, Protocol};
use place::Place;
use speech::Speech;

/// More tills than this are a mistake.
const TILLS_MAX: usize = 256;

/// What the narrowest common receipt paper (58 mm) holds.
const COLUMNS: usize = 32;

/// `[[till]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Till {
    /// What customers type. No two tills have the same.
    pub number: TillNumber,
    /// What people call it besides; may be empty.
    pub label: String,
    /// Where it is, as written. No two tills have the same.
    pub port: Port,
    /// What it speaks.
    pub protocol: Protocol,
    /// Width of its paper in characters, 20 to 40.
    pub columns: usize,
    /// How its line is set, if it is serial.
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
    let mut ports: Vec<At<Port>> = Vec::new();
    for section in sections {
        tills.extend(read_till(reader, section, &mut numbers, &mut ports));
    }
    tills
}

fn read_till<'t>(
    reader: &mut Reader<'t>,
    mut section: Section<'t>,
    numbers: &mut Vec<At<TillNumber>>,
    ports: &mut Vec<At<Port>>,
) -> Option<Till> {
    let number = reader.need_whole(&mut section, "number", 1..=u64::from(TillNumber::MAX));
    let number = number.and_then(|at| {
        let value = TillNumber::new(u16::try_from(at.value).ok()?)?;
        Some(At { value, span: at.span })
    });
    let label = reader.text(&mut section, "label");
    let speech = Speech::read(reader, &mut section);
    let place = Place::read(reader, &mut section);
    let columns = reader.whole(&mut section, "columns", 20..=40).and_then(|at| usize::try_from(at.value).ok());
    let protocol = speech.protocol(reader, &mut section, number.as_ref());
    let line = line::read(reader, &mut section, protocol, place.as_ref());
    reader.end(section);
    let port = place.and_then(|place| place.port(reader, &speech, ports));
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
    Some(Till { number: value, label, port: port?, protocol, columns: columns.unwrap_or(COLUMNS), line })
}
