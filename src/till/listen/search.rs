//! Finds a till's protocol and line settings from what is heard, and says which speed to listen at. Pure: reads nothing.

use super::line::{BAUDS, Bits, Heard};
use super::said::{Proof, Speech, said};
use crate::till::port::Parity;
use std::fmt;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What the till speaks.
    pub speech: Speech,
    /// Whether a whole frame was heard and its check was right; else only its shape was seen.
    pub sure: bool,
    /// Its speed.
    pub baud: u32,
    /// Its data bits and parity.
    pub bits: Bits,
    /// The number that the till gives itself, where the protocol has one.
    pub till: Option<u8>,
    /// Others that would sound the same so far.
    pub or_bits: Vec<Bits>,
}

/// What to do after a piece was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This is it.
    Found(Finding),
    /// Nothing was understood: listen at this speed.
    Try(u32),
}

/// Which speed is listened at.
#[derive(Clone, Debug)]
pub struct Search {
    bauds: Vec<u32>,
    at: usize,
}

impl Search {
    /// At this speed only, or at each common one in turn.
    pub fn new(fixed: Option<u32>) -> Search {
        Search { bauds: fixed.map_or_else(|| BAUDS.to_vec(), |baud| vec![baud]), at: 0 }
    }

    /// The speed to listen at now.
    pub fn baud(&self) -> u32 {
        self.bauds.get(self.at).copied().unwrap_or(9_600)
    }

    /// A piece was heard, from silence to silence.
    pub fn heard(&mut self, piece: &[Heard]) -> Next {
        match find(piece, self.baud()) {
            Some(finding) => Next::Found(finding),
            None => Next::Try(self.skip()),
        }
    }

    /// Goes on to the next speed and says it.
    pub fn skip(&mut self) -> u32 {
        self.at = self.at.saturating_add(1);
        if self.at >= self.bauds.len() {
            self.at = 0;
        }
        self.baud()
    }
}

/// What these bytes show about their line, if anything.
pub fn find(piece: &[Heard], baud: u32) -> Option<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for bits in Bits::ALL.into_iter().filter(|bits| bits.fit(piece)) {
        if let Some((speech, sure, till)) = recognise(&bits.sent(piece)) {
            found.push(Finding { speech, sure, baud, bits, till, or_bits: Vec::new() });
        }
    }
    let best = found.iter().position(|f| f.sure).unwrap_or(0);
    if best >= found.len() {
        return None;
    }
    let mut best = found.remove(best);
    let same = |f: &&Finding| (f.speech, f.sure) == (best.speech, best.sure);
    best.or_bits = found.iter().filter(same).map(|f| f.bits).collect();
    Some(best)
}

/// A frame whose check is right proves its protocol whatever is around it; a shape only if nothing else is there.
fn recognise(sent: &[u8]) -> Option<(Speech, bool, Option<u8>)> {
    let pieces = said(sent);
    let checked = pieces.iter().find_map(|said| match said.proof {
        Proof::Checked(speech) => Some((speech, true, said.till)),
        Proof::Shape(_) | Proof::None => None,
    });
    if checked.is_some() {
        return checked;
    }
    let mut shape = None;
    for piece in &pieces {
        match piece.proof {
            Proof::Shape(speech) if shape.is_none_or(|s| s == speech) => shape = Some(speech),
            Proof::Shape(_) | Proof::None | Proof::Checked(_) => return None,
        }
    }
    shape.map(|speech| (speech, false, None))
}

impl Finding {
    /// The section for the configuration; `port` is the name to write there.
    pub fn section(&self, port: &str) -> String {
        let settings = self.bits.settings(self.baud);
        let mut line = Vec::new();
        if self.baud != 9_600 {
            line.push(format!("baud = {}", self.baud));
        }
        if settings.seven_bits {
            line.push("data_bits = 7".to_owned());
        }
        match settings.parity {
            Parity::None => {}
            Parity::Even => line.push("parity = \"even\"".to_owned()),
            Parity::Odd => line.push("parity = \"odd\"".to_owned()),
        }
        if settings.two_stop_bits {
            line.push("stop_bits = 2".to_owned());
        }
        let number = self.till.filter(|number| *number > 0).unwrap_or(1);
        let mut text = format!(
            "[[till]]\n{:32}# customers type this: put it on a card at the till\nport = \"{port}\"\nprotocol = \"{}\"\n",
            format!("number = {number}"),
            self.speech.word()
        );
        if !line.is_empty() {
            text.push_str(&format!("\n[till.line]\n{}\n", line.join("\n")));
        }
        text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // ZVT always has two stop bits, which sound like one.
        let bits = match (self.speech, self.bits) {
            (Speech::Zvt, Bits::EightNone) => "8N2",
            (Speech::Zvt | Speech::Plain | Speech::Concert, bits) => bits.name(),
        };
        let how = if self.sure { "This is" } else { "This looks like" };
        write!(f, "{how} {}, at {} baud {bits}.", self.speech.name(), self.baud)?;
        if !self.or_bits.is_empty() {
            let others: Vec<_> = self.or_bits.iter().map(|b| b.name()).collect();
            write!(f, " So far {} would sound the same.", others.join(" or "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::wire::carry;
    use super::*;
    use crate::till::frame::encode;

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
    }

    fn concert() -> Vec<u8> {
        hex("02 30 31 30 30 30 30 31 32 35 30 31 31 30 39 37 38 20 20 20 20 20 20 20 20 20 20 41 30 31 30 42 30 31 30 \
             03 01")
    }

    /// What tills say again and again while nobody answers, and with which bits they say it.
    fn tills() -> Vec<(Vec<u8>, Speech, bool, Vec<Bits>)> {
        let ascii = Bits::ALL.to_vec();
        vec![
            (encode("PAY|7|1|41|1250|EUR|120"), Speech::Plain, true, ascii.clone()),
            (concert(), Speech::Concert, true, ascii.clone()),
            (hex("10 02 05 01 03 12 34 56 10 03 E0 43"), Speech::Zvt, true, vec![Bits::EightNone]),
            (
                hex("10 02 06 0F 0B F0 F0 F7 32 2E 31 34 2E 31 35 00 10 03 B1 11"),
                Speech::Zvt,
                true,
                vec![Bits::EightNone],
            ),
            (hex("05"), Speech::Concert, false, ascii),
        ]
    }

    #[test]
    fn whatever_a_till_says_at_whatever_speed_is_found_within_one_round() {
        for (bytes, speech, sure, all_bits) in tills() {
            for bits in all_bits {
                for says in BAUDS {
                    let mut search = Search::new(None);
                    let found =
                        (0..BAUDS.len()).find_map(|_| match search.heard(&carry(&bytes, says, bits, search.baud())) {
                            Next::Found(finding) => Some(finding),
                            Next::Try(_) => None,
                        });
                    let found = found.unwrap_or_else(|| panic!("{} {says} {:?}", speech.word(), bits));
                    assert_eq!((found.speech, found.sure, found.baud), (speech, sure, says), "{bits:?}");
                    assert!(found.bits == bits || found.or_bits.contains(&bits), "{bits:?} {found:?}");
                    if sure {
                        assert_eq!(found.bits, bits);
                    }
                }
            }
        }
    }

    #[test]
    fn noise_and_bare_acknowledgements_prove_nothing() {
        for text in ["06", "06 06", "15", "00", "FF FF FF", "05 41", "41 05", "02 03", "10 02", "10 03 00 00"] {
            let heard: Vec<_> = hex(text).into_iter().map(|byte| Heard { byte, bad: false }).collect();
            assert_eq!(find(&heard, 9_600), None, "{text}");
        }
        assert_eq!(find(&[], 9_600), None);
    }

    #[test]
    fn a_fixed_speed_is_kept() {
        let mut search = Search::new(Some(4_800));
        assert_eq!(search.heard(&[Heard { byte: 0, bad: true }]), Next::Try(4_800));
    }

    #[test]
    fn the_section_says_what_is_not_usual() {
        let finding = |speech, baud, bits| Finding { speech, sure: true, baud, bits, till: None, or_bits: Vec::new() };
        let usual = finding(Speech::Zvt, 9_600, Bits::EightNone);
        assert!(usual.section("/dev/x").ends_with("port = \"/dev/x\"\nprotocol = \"zvt\"\n"));
        let odd = finding(Speech::Concert, 19_200, Bits::SevenEven);
        let expected = "\n[till.line]\nbaud = 19200\ndata_bits = 7\nparity = \"even\"\n";
        assert!(odd.section("/dev/x").ends_with(expected), "{}", odd.section("/dev/x"));
        let numbered = Finding { till: Some(7), ..odd };
        assert!(numbered.section("/dev/x").starts_with("[[till]]\nnumber = 7 "), "{}", numbered.section("/dev/x"));
    }

    #[test]
    fn random_bytes_prove_nothing_and_break_nothing() {
        let mut random: u32 = 7;
        let mut next = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as u8
        };
        // The bytes of which frames are made, often.
        let special = [0x02, 0x03, 0x05, 0x06, 0x10, 0x10, b'0', b'|', 0x80];
        for _ in 0..20_000 {
            let length = usize::from(next());
            let piece: Vec<_> = (0..length)
                .map(|_| {
                    let byte = if next() % 2 == 0 { special[usize::from(next()) % special.len()] } else { next() };
                    Heard { byte, bad: next() == 0 }
                })
                .collect();
            assert!(find(&piece, 9_600).is_none_or(|finding| !finding.sure), "{piece:x?}");
        }
    }
}
