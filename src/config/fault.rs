//! What is wrong with a configuration, where, and how to mend it. Finds nothing itself.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Faults that are told of one file; with so many, more of them help nobody.
pub const FAULTS_MAX: usize = 100;
/// Longest piece of a line that is quoted.
const QUOTE_CHARS_MAX: usize = 160;
/// Longest text about one fault: what the file says may stand in it.
const TEXT_CHARS_MAX: usize = 320;

/// One thing that is wrong, or odd, at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// What is wrong, in lower case.
    pub what: String,
    /// What to do about it.
    pub fix: String,
    quote: String,
    /// How many characters of the quote stand before the place.
    lead: usize,
    width: usize,
}

impl Fault {
    /// A fault at the bytes `at` of `text`, which is what `file` holds.
    pub(super) fn at(file: &Path, text: &str, at: Range<usize>, what: String, fix: String) -> Fault {
        let before = text.get(..at.start).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |n| n.saturating_add(1));
        let line = text.get(start..).unwrap_or("").lines().next().unwrap_or("");
        let before_it = before.get(start..).unwrap_or("").chars().count();
        let left_out = if line.len() > QUOTE_CHARS_MAX { before_it.saturating_sub(QUOTE_CHARS_MAX / 2) } else { 0 };
        let quote: String = line.chars().skip(left_out).take(QUOTE_CHARS_MAX).collect();
        let lead = before_it.saturating_sub(left_out);
        let marked = text.get(at).unwrap_or("").lines().next().unwrap_or("").chars().count();
        let room = quote.chars().count().saturating_sub(lead);
        Fault {
            file: file.to_owned(),
            line: before.matches('\n').count().saturating_add(1),
            column: before_it.saturating_add(1),
            what: shortened(what),
            fix: shortened(fix),
            quote,
            lead,
            width: marked.min(room).max(1),
        }
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// `file:line:column: what`, the line, a caret under the place, and the fix. Ends without a new line.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        let lead: String = self.quote.chars().take(self.lead).collect();
        let lead: String = lead.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.what)?;
        writeln!(f, "  {number} | {}", self.quote)?;
        writeln!(f, "  {gap} | {lead}{}", "^".repeat(self.width))?;
        write!(f, "  {gap} = {}", self.fix)
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Faults {
    /// The file cannot be read at all.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file was read, and what is wrong in it was found: all, or the first [`FAULTS_MAX`]; in the order of the lines, never
    /// empty.
    Wrong(Vec<Fault>),
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Faults::Unreadable { file, cause } => {
                let file = file.display();
                write!(f, "cannot read the configuration {file}: {cause}; name the right file with --config")
            }
            Faults::Wrong(list) => {
                for fault in list {
                    writeln!(f, "{fault}")?;
                }
                let count = list.len();
                let word = match count {
                    1 => "fault",
                    FAULTS_MAX => "faults or more",
                    _ => "faults",
                };
                write!(f, "{count} {word} in the configuration")
            }
        }
    }
}

impl std::error::Error for Faults {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Faults::Unreadable { cause, .. } => Some(cause),
            Faults::Wrong(_) => None,
        }
    }
}
