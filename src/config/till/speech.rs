//! `protocol` of a till and the options that each protocol has in a section of its own. Opens no port.

use crate::config::reader::{At, Reader, Section};
use crate::shop::event::TillNumber;
use crate::till::Protocol;
use crate::till::concert::ConcertOptions;
use crate::till::zvt::{LONGEST_WAIT_SECS, Letters, ZvtOptions};

/// The largest number that fits into a Concert request.
const CONCERT_NUMBER_MAX: u16 = 99;

/// The word of the protocol, and nothing of its options yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Plain,
    Concert,
    Zvt,
}

impl Speech {
    pub(super) fn read<'t>(reader: &mut Reader<'t>, till: &mut Section<'t>) -> Speech {
        let words = [("plain", Speech::Plain), ("concert", Speech::Concert), ("zvt", Speech::Zvt)];
        reader.word(till, "protocol", &words).map_or(Speech::Plain, |at| at.value)
    }

    /// Its name, if it is spoken on serial lines only.
    pub(super) fn only_serial(self) -> Option<&'static str> {
        match self {
            Speech::Plain => Some("the plain protocol"),
            Speech::Concert => Some("Concert"),
            Speech::Zvt => None,
        }
    }

    /// The protocol with its options.
    pub(super) fn protocol<'t>(
        self,
        reader: &mut Reader<'t>,
        till: &mut Section<'t>,
        number: Option<&At<TillNumber>>,
    ) -> Protocol {
        let concert = reader.section(till, "concert");
        let zvt = reader.section(till, "zvt");
        let foreign = [("concert", &concert, Speech::Concert), ("zvt", &zvt, Speech::Zvt)];
        for (word, section, of) in foreign {
            if let Some(section) = section.as_ref().filter(|_| of != self) {
                let what = format!("[till.{word}] is for tills with protocol = \"{word}\"");
                reader.fault(&section.span(), what, format!("write protocol = \"{word}\", or take the section away"));
            }
        }
        let concert = concert.map(|section| read_concert(reader, section)).unwrap_or_default();
        let zvt = zvt.map(|section| read_zvt(reader, section)).unwrap_or_default();
        match self {
            Speech::Plain => Protocol::Plain,
            Speech::Concert => {
                let large = number.filter(|n| n.value.number() > CONCERT_NUMBER_MAX && concert.number.is_none());
                if let Some(At { value, span }) = large {
                    let what = format!("{value} does not fit into a Concert request, which has room for 01 to 99");
                    let fix = "add [till.concert] with the number that is set at the till: number = 1";
                    reader.fault(span, what, fix);
                }
                Protocol::Concert(concert)
            }
            Speech::Zvt => Protocol::Zvt(zvt),
        }
    }
}

fn read_concert<'t>(reader: &mut Reader<'t>, mut concert: Section<'t>) -> ConcertOptions {
    let number = reader.whole(&mut concert, "number", 1..=u64::from(CONCERT_NUMBER_MAX));
    reader.end(concert);
    ConcertOptions { number: number.and_then(|at| u8::try_from(at.value).ok()) }
}

fn read_zvt<'t>(reader: &mut Reader<'t>, mut zvt: Section<'t>) -> ZvtOptions {
    let usual = ZvtOptions::default();
    let terminal_id = reader.whole(&mut zvt, "terminal_id", 1..=99_999_999);
    let terminal_id = terminal_id.and_then(|at| u32::try_from(at.value).ok()).unwrap_or(usual.terminal_id);
    let password = reader.text(&mut zvt, "password").and_then(|text| {
        let digits = text.value.len() == 6 && text.value.bytes().all(|b| b.is_ascii_digit());
        if !digits {
            let what = format!("a password has six digits; this is \"{}\"", text.value);
            reader.fault(&text.span, what, "write the one that is set at the till, such as password = \"000000\"");
        }
        text.value.parse().ok().filter(|_| digits)
    });
    let longest = reader.whole(&mut zvt, "longest_wait_secs", LONGEST_WAIT_SECS);
    // The till says it itself when it registers; TOML writes 142 as 0x8E too.
    let config_byte = reader.whole(&mut zvt, "config_byte", 0..=255).and_then(|at| u8::try_from(at.value).ok());
    let letters = reader.word(&mut zvt, "letters", &[("ascii", Letters::Ascii), ("cp437", Letters::Cp437)]);
    reader.end(zvt);
    ZvtOptions {
        terminal_id,
        password: password.or(usual.password),
        longest_wait_secs: longest.map_or(usual.longest_wait_secs, |at| at.value),
        config_byte: config_byte.unwrap_or(usual.config_byte),
        letters: letters.map_or(usual.letters, |at| at.value),
    }
}
