//! Questions at a terminal: each explains itself, has an answer that Enter takes, and meets a bad one with what to do. Knows
//! nothing of shops.

use std::fmt::Display;
use std::io::{self, BufRead, Read, Write};

/// Nobody writes a longer answer.
const LINE_BYTES_MAX: u64 = 4_096;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// The terminal has gone, or somebody has pressed Ctrl-D.
    Ended,
    /// The terminal cannot be read or written.
    Broken(io::Error),
}

impl From<io::Error> for Stop {
    fn from(cause: io::Error) -> Stop {
        Stop::Broken(cause)
    }
}

/// Somebody who reads and types.
pub(super) struct Terminal<R, W> {
    input: R,
    output: W,
}

impl<R: BufRead, W: Write> Terminal<R, W> {
    pub(super) fn new(input: R, output: W) -> Terminal<R, W> {
        Terminal { input, output }
    }

    /// A line, or several.
    pub(super) fn say(&mut self, text: impl Display) -> Result<(), Stop> {
        writeln!(self.output, "{text}")?;
        Ok(())
    }

    /// Text without a new line; a carriage return at its beginning writes over what stands there.
    pub(super) fn show(&mut self, text: impl Display) -> Result<(), Stop> {
        write!(self.output, "{text}")?;
        self.output.flush()?;
        Ok(())
    }

    /// A heading.
    pub(super) fn head(&mut self, text: &str) -> Result<(), Stop> {
        self.say(format!("\n{text}\n{}", "-".repeat(text.chars().count())))
    }

    /// Asks until the answer can be used. `hint`: one line that explains; `usual`: what Enter means; `read`: the answer, or
    /// what to do instead.
    pub(super) fn ask<T>(
        &mut self,
        hint: &str,
        question: &str,
        usual: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Stop> {
        self.say(format!("\n  {hint}"))?;
        loop {
            self.show(format!("  {question} [{usual}]: "))?;
            let line = self.line()?;
            let answer = line.trim();
            if answer.chars().any(char::is_control) {
                self.say("  There are keys in it that are no letters, such as an arrow: write it again.")?;
                continue;
            }
            match read(if answer.is_empty() { usual } else { answer }) {
                Ok(value) => return Ok(value),
                Err(what) => self.say(format!("  {what}"))?,
            }
        }
    }

    /// One of several, by its number or its word. Returns its place.
    pub(super) fn choose(
        &mut self,
        hint: &str,
        question: &str,
        choices: &[(&str, String)],
        usual: usize,
    ) -> Result<usize, Stop> {
        let list: Vec<String> =
            choices.iter().enumerate().map(|(n, (_, text))| format!("    {}  {text}", n.saturating_add(1))).collect();
        let hint = format!("{hint}\n{}", list.join("\n"));
        self.ask(&hint, question, &usual.saturating_add(1).to_string(), |answer| {
            let by_number = answer.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < choices.len());
            let by_word = || choices.iter().position(|(word, _)| !word.is_empty() && word.eq_ignore_ascii_case(answer));
            by_number.or_else(by_word).ok_or_else(|| format!("Write a number from 1 to {}.", choices.len()))
        })
    }

    /// Yes or no.
    pub(super) fn agree(&mut self, hint: &str, question: &str, usual: bool) -> Result<bool, Stop> {
        self.ask(hint, question, if usual { "yes" } else { "no" }, |answer| match answer.to_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("Write yes or no.".to_owned()),
        })
    }

    /// What was typed up to Enter.
    pub(super) fn line(&mut self) -> Result<String, Stop> {
        let mut line = Vec::new();
        (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(Stop::Ended);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(typed: &str) -> (Result<u8, Stop>, String) {
        let mut output = Vec::new();
        let mut terminal = Terminal::new(typed.as_bytes(), &mut output);
        let answer = terminal.ask("Why it is asked.", "How many", "3", |text| {
            text.parse::<u8>().map_err(|_| "Write a number from 0 to 255.".to_owned())
        });
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn enter_takes_the_usual_answer_and_a_bad_one_is_met_with_what_to_do() {
        assert_eq!(asked("\n").0.unwrap(), 3);
        assert_eq!(asked(" 7 \n").0.unwrap(), 7);
        let (answer, shown) = asked("many\n\u{1b}[D\n300\n4\n");
        assert_eq!(answer.unwrap(), 4);
        assert_eq!(
            shown,
            "\n  Why it is asked.\n  How many [3]:   Write a number from 0 to 255.\n  How many [3]:   \
             There are keys in it that are no letters, such as an arrow: write it again.\n  How many [3]:   \
             Write a number from 0 to 255.\n  How many [3]: "
        );
    }

    #[test]
    fn an_input_that_ends_is_no_answer() {
        for typed in ["", "many\n"] {
            assert!(matches!(asked(typed).0, Err(Stop::Ended)), "{typed:?}");
        }
    }

    #[test]
    fn a_choice_is_made_by_number_or_by_word() {
        let choices = [("en", "English".to_owned()), ("de", "Deutsch".to_owned())];
        for (typed, place) in [("\n", 1), ("1\n", 0), ("DE\n", 1), ("3\n0\nfr\n1\n", 0)] {
            let mut output = Vec::new();
            let mut terminal = Terminal::new(typed.as_bytes(), &mut output);
            assert_eq!(terminal.choose("Which one?", "Choose", &choices, 1).unwrap(), place, "{typed:?}");
            assert!(String::from_utf8(output).unwrap().starts_with("\n  Which one?\n    1  English\n    2  Deutsch\n"));
        }
    }
}
