//! Takes values out of a parsed TOML file, keeps what is wrong with them and where. Knows no key of ours.

use super::fault::{FAULTS_MAX, Fault};
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the bytes it stands at.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table of the file, and which of its keys were asked for: the others are unknown.
pub(super) struct Section<'t> {
    name: String,
    span: Range<usize>,
    table: &'t DeTable<'t>,
    asked: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The whole file.
    pub(super) fn root(table: &'t Spanned<DeTable<'t>>) -> Section<'t> {
        Section { name: String::new(), span: 0..0, table: table.get_ref(), asked: Vec::new() }
    }

    /// Where it stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn called(&self) -> String {
        if self.name.is_empty() { "the file".to_owned() } else { format!("`{}`", self.name) }
    }

    fn named(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// Reads sections and gathers the faults of all of them.
pub(super) struct Reader<'t> {
    file: &'t Path,
    text: &'t str,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Reader<'t> {
        Reader { file, text, faults: Vec::new(), warnings: Vec::new() }
    }

    /// Faults and warnings, each in the order of the lines.
    pub(super) fn into_found(mut self) -> (Vec<Fault>, Vec<Fault>) {
        self.faults.sort_by_key(|f| (f.line, f.column));
        self.warnings.sort_by_key(|f| (f.line, f.column));
        (self.faults, self.warnings)
    }

    pub(super) fn fault(&mut self, at: &Range<usize>, what: impl Into<String>, fix: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::at(self.file, self.text, at.clone(), what.into(), fix.into()));
        }
    }

    pub(super) fn warn(&mut self, at: &Range<usize>, what: impl Into<String>, fix: impl Into<String>) {
        self.warnings.push(Fault::at(self.file, self.text, at.clone(), what.into(), fix.into()));
    }

    /// The line, from 1, of a place in the file.
    pub(super) fn line(&self, at: &Range<usize>) -> usize {
        self.text.get(..at.start).unwrap_or("").matches('\n').count().saturating_add(1)
    }

    /// The sub-table `key`, if it is there.
    pub(super) fn section(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<Section<'t>> {
        let found = of.take(key)?;
        let name = of.named(key);
        let Some(table) = found.get_ref().as_table() else {
            self.fault(&found.span(), format!("`{name}` is a section"), format!("write [{name}] on a line of its own"));
            return None;
        };
        Some(Section { name, span: found.span(), table, asked: Vec::new() })
    }

    /// The sub-table `key`, which must be there; `example` shows one.
    pub(super) fn need_section(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        example: &str,
    ) -> Option<Section<'t>> {
        if !of.has(key) {
            of.asked.push(key);
            self.fault(&of.span(), format!("the section [{}] is missing", of.named(key)), example);
            return None;
        }
        self.section(of, key)
    }

    /// The tables `[[key]]`; none if there are none.
    pub(super) fn sections(&mut self, of: &mut Section<'t>, key: &'static str) -> Vec<Section<'t>> {
        let Some(found) = of.take(key) else { return Vec::new() };
        let fix = format!("write [[{key}]] for each {key}, with double brackets");
        let Some(list) = found.get_ref().as_array() else {
            self.fault(&found.span(), format!("`{key}` is a list of sections"), fix);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_table() {
                Some(table) => {
                    sections.push(Section { name: key.to_owned(), span: item.span(), table, asked: Vec::new() })
                }
                None => self.fault(&item.span(), format!("`{key}` is a list of sections"), fix.clone()),
            }
        }
        sections
    }

    /// Text, if it is there.
    pub(super) fn text(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<At<&'t str>> {
        let found = of.take(key)?;
        let span = found.span();
        match found.get_ref().as_str() {
            Some("") => {
                self.fault(&span, format!("`{key}` is empty"), "write something between the quotes");
                None
            }
            Some(value) => Some(At { value, span }),
            None => {
                let kind = found.get_ref().type_str();
                let written = self.text.get(span.clone()).unwrap_or("").to_owned();
                self.fault(&span, format!("`{key}` is text, not {kind}"), quoted(key, &written));
                None
            }
        }
    }

    /// Text that must be there; `example` is one.
    pub(super) fn need_text(&mut self, of: &mut Section<'t>, key: &'static str, example: &str) -> Option<At<&'t str>> {
        if !of.has(key) {
            self.lacks(of, key, &format!("\"{example}\""));
        }
        self.text(of, key)
    }

    /// A whole number within `bounds`, if it is there.
    pub(super) fn whole(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        let found = of.take(key)?;
        let span = found.span();
        let (least, most) = (bounds.start(), bounds.end());
        let fix = format!("write a whole number from {least} to {most}, without quotes");
        let Some(number) = found.get_ref().as_integer() else {
            let kind = found.get_ref().type_str();
            self.fault(&span, format!("`{key}` is a whole number, not {kind}"), fix);
            return None;
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if bounds.contains(&value) => Some(At { value, span }),
            Ok(_) | Err(_) => {
                self.fault(&span, format!("`{key}` must be from {least} to {most}"), fix);
                None
            }
        }
    }

    /// A whole number within `bounds` that must be there.
    pub(super) fn need_whole(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        if !of.has(key) {
            self.lacks(of, key, &bounds.start().to_string());
        }
        self.whole(of, key, bounds)
    }

    /// True or false, if it is there.
    pub(super) fn switch(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<bool> {
        let found = of.take(key)?;
        let value = found.get_ref().as_bool();
        if value.is_none() {
            let kind = found.get_ref().type_str();
            self.fault(&found.span(), format!("`{key}` is true or false, not {kind}"), format!("write {key} = true"));
        }
        value
    }

    /// One of `words`, if it is there.
    pub(super) fn word<T: Copy>(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<At<T>> {
        let found = self.text(of, key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) {
            return Some(At { value: *value, span: found.span });
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let what = format!("`{key}` cannot be \"{}\"", found.value);
        self.fault(&found.span, what, one_of(found.value, &all));
        None
    }

    /// One of `words`, which must be there.
    pub(super) fn need_word<T: Copy>(
        &mut self,
        of: &mut Section<'t>,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<At<T>> {
        if !of.has(key) {
            self.lacks(of, key, &format!("\"{}\"", words.first().map_or("", |(word, _)| word)));
        }
        self.word(of, key, words)
    }

    /// The texts of a list, which must be there.
    pub(super) fn need_texts(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<At<Vec<At<&'t str>>>> {
        if !of.has(key) {
            self.lacks(of, key, "[\"..\"]");
        }
        let found = of.take(key)?;
        let fix = format!("write {key} = [\"..\", \"..\"]");
        let Some(list) = found.get_ref().as_array() else {
            self.fault(&found.span(), format!("`{key}` is a list of texts"), fix);
            return None;
        };
        let mut value = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => value.push(At { value: text, span: item.span() }),
                None => self.fault(&item.span(), format!("`{key}` is a list of texts"), fix.clone()),
            }
        }
        Some(At { value, span: found.span() })
    }

    /// The texts of a list, if it is there.
    pub(super) fn texts(&mut self, of: &mut Section<'t>, key: &'static str) -> Option<At<Vec<At<&'t str>>>> {
        if !of.has(key) {
            of.asked.push(key);
            return None;
        }
        self.need_texts(of, key)
    }

    /// Ends a section: each key that nobody asked for is unknown.
    pub(super) fn end(&mut self, section: Section<'t>) {
        for key in section.table.keys() {
            let name: &str = key.get_ref();
            if !section.asked.contains(&name) {
                let what = format!("{} has no key `{name}`", section.called());
                self.fault(&key.span(), what, one_of(name, &section.asked));
            }
        }
    }

    fn lacks(&mut self, of: &Section<'t>, key: &str, example: &str) {
        let what = format!("{} needs `{key}`", of.called());
        self.fault(&of.span(), what, format!("add a line such as: {key} = {example}"));
    }
}

fn quoted(key: &str, written: &str) -> String {
    match written.contains(['"', '\n', '[', '{']) {
        true => format!("write {key} = \"..\""),
        false => format!("write {key} = \"{written}\""),
    }
}

/// A longer word is near none of ours.
const WORD_BYTES_MAX: usize = 64;

/// "did you mean" if one of `words` is near `word`, else all of them.
pub(super) fn one_of(word: &str, words: &[&str]) -> String {
    let near = words.iter().filter(|_| word.len() <= WORD_BYTES_MAX).map(|w| (steps(word, w), w)).min();
    match near {
        Some((far, best)) if far <= best.len().div_ceil(3) => format!("did you mean `{best}`?"),
        Some(_) | None => format!("it can be: {}", words.join(", ")),
    }
}

/// How many letters must be added, taken away, changed or swapped with their neighbour to make `a` into `b`.
fn steps(a: &str, b: &str) -> usize {
    let lower = |s: &str| s.to_lowercase().chars().collect::<Vec<_>>();
    let (a, b) = (lower(a), lower(b));
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, to) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX);
            let left = cell(&next, j).saturating_add(1);
            let above = cell(&row, j.saturating_add(1)).saturating_add(1);
            let corner = cell(&row, j).saturating_add(usize::from(from != to));
            let swapped =
                i > 0 && j > 0 && a.get(i.saturating_sub(1)) == Some(to) && b.get(j.saturating_sub(1)) == Some(from);
            let swap = if swapped { cell(&before, j.saturating_sub(1)).saturating_add(1) } else { usize::MAX };
            next.push(left.min(above).min(corner).min(swap));
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_nearly_right_is_suggested_and_a_strange_one_gets_the_list() {
        let words = ["number", "label", "port", "protocol", "line"];
        for (word, answer) in [
            ("nubmer", "did you mean `number`?"),
            ("Port", "did you mean `port`?"),
            ("lable", "did you mean `label`?"),
            ("protokol", "did you mean `protocol`?"),
            ("colour", "it can be: number, label, port, protocol, line"),
        ] {
            assert_eq!(one_of(word, &words), answer);
        }
    }
}
