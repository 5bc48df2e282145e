//! A configuration as it is to become: values are put in and taken out, all else in the text stays as a person left it.
//! Pure: reads and writes no file, and does not know which values are right.

use crate::config::{NAMED, STORE, state_of};
use crate::platform::identity::Folder;
use std::path::Path;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// What a new file begins with.
const HEADING: &str = "\
# Written by `tillgate setup`, and yours to change: it keeps what you write here, comments included.
# docs/configuration.md explains every key. After each change:  tillgate check --config FILE
\n";

/// What a new section is for, in a new file.
const SECTIONS: &[(&str, &str)] = &[
    ("limits", "# The least and the greatest amount of one payment."),
    ("portal", "# Where customers' phones find the pages."),
    ("network", "# The customers' Wi-Fi, whose router this box is."),
    ("platform", "# Who takes the money, and how we know one another."),
];

/// The order of a new file. Tills come last: each has sections of its own.
const ORDER: &[&str] = &["shop", "limits", "rules", "portal", "network", "platform", "store", "control", "till"];

/// The text of a configuration, and what is being changed in it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    document: DocumentMut,
    new: bool,
    /// Lines end as on other systems.
    crlf: bool,
}

/// One till, as a new section says it. What is absent is as the protocol has it usually.
#[derive(Clone, Debug, Default)]
pub(super) struct NewTill {
    pub(super) number: u16,
    pub(super) label: String,
    pub(super) port: String,
    /// The till's own address, if it is on the network.
    pub(super) peer: Option<String>,
    pub(super) protocol: &'static str,
    /// What is unusual about its line: key and value of `[till.line]`.
    pub(super) line: Vec<(&'static str, Value)>,
    /// What the till calls itself, where that is not its number here.
    pub(super) concert_number: Option<u8>,
}

impl Draft {
    /// Of a file that is there, or of none. The error says where the text is no TOML.
    pub(super) fn of(text: Option<&str>) -> Result<Draft, String> {
        match text {
            Some(text) => {
                let document = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
                Ok(Draft { document, new: false, crlf: text.contains("\r\n") })
            }
            None => Ok(Draft { document: DocumentMut::new(), new: true, crlf: false }),
        }
    }

    /// The whole text.
    pub(super) fn text(&self) -> String {
        if self.crlf {
            return self.document.to_string().replace("\r\n", "\n").replace('\n', "\r\n");
        }
        if !self.new {
            return self.document.to_string();
        }
        let mut ordered = self.document.clone();
        let place = |key: &str| ORDER.iter().position(|name| *name == key).unwrap_or(ORDER.len());
        ordered.as_table_mut().sort_values_by(|a, _, b, _| place(a.get()).cmp(&place(b.get())));
        format!("{HEADING}{}", ordered.to_string().trim_start_matches('\n'))
    }

    /// The text at `section.key`; sections within sections are written `network.wifi`.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.section(section)?.get(key)?.as_str()
    }

    /// The texts of the list at `section.key`.
    pub(super) fn list(&self, section: &str, key: &str) -> Vec<String> {
        let list = self.section(section).and_then(|table| table.get(key)).and_then(Item::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The whole number at `section.key`.
    pub(super) fn whole(&self, section: &str, key: &str) -> Option<i64> {
        self.section(section)?.get(key)?.as_integer()
    }

    /// Whether anything stands there.
    pub(super) fn has(&self, section: &str, key: &str) -> bool {
        self.section(section).is_some_and(|table| table.contains_key(key))
    }

    /// Whether there is such a section.
    pub(super) fn has_section(&self, section: &str) -> bool {
        self.section(section).is_some()
    }

    /// Whether any key or certificate for the platform is named.
    pub(super) fn names_keys(&self) -> bool {
        NAMED.iter().any(|key| self.has("platform", key))
    }

    /// Where `tillgate enroll` keeps who this box is at the platform.
    pub(super) fn identity(&self) -> Folder {
        Folder::below(&state_of(Path::new(self.get("store", "path").unwrap_or(STORE))))
    }

    /// Puts a value there. One that says the same already stays as it is written; comments beside it stay in any case.
    pub(super) fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let new = self.new;
        if let Some(table) = make(self.document.as_table_mut(), section, new) {
            put(table, key, value.into());
        }
    }

    /// Puts a value there if nothing stands there yet.
    pub(super) fn set_if_absent(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        if !self.has(section, key) {
            self.set(section, key, value);
        }
    }

    /// Takes a key away.
    pub(super) fn remove(&mut self, section: &str, key: &str) {
        if let Some(table) = find_mut(self.document.as_table_mut(), section) {
            table.remove(key);
        }
    }

    /// Takes a whole section away, and what is below it.
    pub(super) fn remove_section(&mut self, section: &str) {
        match section.rsplit_once('.') {
            Some((above, name)) => self.remove(above, name),
            None => {
                self.document.remove(section);
            }
        }
    }

    /// Number and port of each till that is there.
    pub(super) fn tills(&self) -> Vec<(i64, String)> {
        let of = |table: &dyn TableLike| {
            let number = table.get("number").and_then(Item::as_integer).unwrap_or_default();
            (number, table.get("port").and_then(Item::as_str).unwrap_or_default().to_owned())
        };
        match self.document.get("till") {
            Some(Item::ArrayOfTables(tills)) => tills.iter().map(|till| of(till)).collect(),
            Some(Item::Value(Value::Array(tills))) => {
                tills.iter().filter_map(Value::as_inline_table).map(|till| of(till)).collect()
            }
            Some(Item::None | Item::Value(_) | Item::Table(_)) | None => Vec::new(),
        }
    }

    /// Says where the till of this number is and what it speaks, or adds it.
    pub(super) fn replace_till(&mut self, till: &NewTill) {
        let number = i64::from(till.number);
        let there = match self.document.get_mut("till") {
            Some(Item::ArrayOfTables(tills)) => {
                tills.iter_mut().find(|one| one.get("number").and_then(Item::as_integer) == Some(number))
            }
            Some(_) | None => None,
        };
        match there {
            Some(there) => {
                put(there, "port", till.port.as_str().into());
                put(there, "protocol", till.protocol.into());
            }
            None => self.add_till(till),
        }
    }

    /// Adds a till after those that are there.
    pub(super) fn add_till(&mut self, till: &NewTill) {
        let mut table = Table::new();
        put(&mut table, "number", i64::from(till.number).into());
        if let Some(number) = table.get_mut("number").and_then(Item::as_value_mut) {
            number.decor_mut().set_suffix("                      # customers type this: put it on a card at the till");
        }
        if !till.label.is_empty() {
            put(&mut table, "label", till.label.as_str().into());
        }
        put(&mut table, "port", till.port.as_str().into());
        if let Some(peer) = &till.peer {
            put(&mut table, "peer", peer.as_str().into());
        }
        put(&mut table, "protocol", till.protocol.into());
        if !till.line.is_empty() {
            let mut line = Table::new();
            for (key, value) in &till.line {
                put(&mut line, key, value.clone());
            }
            table.insert("line", Item::Table(line));
        }
        if let Some(number) = till.concert_number {
            let mut concert = Table::new();
            put(&mut concert, "number", i64::from(number).into());
            table.insert("concert", Item::Table(concert));
        }
        self.push_till(table);
    }

    fn push_till(&mut self, till: Table) {
        match self.document.entry("till").or_insert(Item::ArrayOfTables(ArrayOfTables::new())) {
            Item::ArrayOfTables(tills) => tills.push(till),
            Item::Value(Value::Array(tills)) => tills.push(till.into_inline_table()),
            // What stands there is no list of tills: `check` says so.
            Item::None | Item::Value(_) | Item::Table(_) => {}
        }
    }

    /// Puts everything in that stands in another text: key by key, tills by their numbers. The error says what cannot be
    /// put in.
    pub(super) fn take_in(&mut self, answers: &str) -> Result<(), String> {
        let answers: DocumentMut = answers.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
        for (name, item) in answers.iter() {
            if name == "till" {
                tables(item)?.into_iter().for_each(|till| self.take_in_till(till));
            } else if let Some(section) = item.as_table_like() {
                self.take_in_section(name, section);
            } else {
                return Err(format!("`{name}` stands outside of any section: write [shop] or another one above it"));
            }
        }
        Ok(())
    }

    fn take_in_section(&mut self, name: &str, section: &dyn TableLike) {
        for (key, item) in section.iter() {
            match (item.as_table_like(), item.as_value()) {
                // A table that is written inline stays a table of its own.
                (Some(below), _) => self.take_in_section(&format!("{name}.{key}"), below),
                (None, Some(value)) => self.set(name, key, value.clone()),
                (None, None) => {}
            }
        }
    }

    fn take_in_till(&mut self, mut till: Table) {
        let number = till.get("number").and_then(Item::as_integer);
        let there = match self.document.get_mut("till") {
            Some(Item::ArrayOfTables(tills)) => {
                tills.iter_mut().find(|one| one.get("number").and_then(Item::as_integer) == number)
            }
            Some(_) | None => None,
        };
        match there {
            Some(there) => merge(there, &till),
            None => {
                till.decor_mut().clear();
                let below: Vec<String> = till.iter().filter(|(_, i)| i.is_table()).map(|(k, _)| k.to_owned()).collect();
                for name in below {
                    if let Some(Item::Table(table)) = till.get_mut(&name) {
                        table.set_position(None);
                    }
                }
                till.set_position(None);
                self.push_till(till);
            }
        }
    }

    fn section(&self, section: &str) -> Option<&dyn TableLike> {
        let mut table: &dyn TableLike = self.document.as_table();
        for name in section.split('.') {
            table = table.get(name)?.as_table_like()?;
        }
        Some(table)
    }
}

/// The tables of a list of sections.
fn tables(item: &Item) -> Result<Vec<Table>, String> {
    match item {
        Item::ArrayOfTables(tills) => Ok(tills.iter().cloned().collect()),
        Item::Value(Value::Array(tills)) => {
            Ok(tills.iter().filter_map(Value::as_inline_table).cloned().map(InlineTable::into_table).collect())
        }
        Item::None | Item::Value(_) | Item::Table(_) => {
            Err("`till` is a list of sections: write [[till]] for each till, with double brackets".to_owned())
        }
    }
}

/// Key by key, what is below included.
fn merge(to: &mut Table, from: &Table) {
    for (key, item) in from.iter() {
        match (item.as_table_like(), item.as_value()) {
            (Some(below), _) => {
                if let Some(table) = make(to, key, false) {
                    for (key, value) in below.iter().filter_map(|(key, item)| Some((key, item.as_value()?))) {
                        put(table, key, value.clone());
                    }
                }
            }
            (None, Some(value)) => put(to, key, value.clone()),
            (None, None) => {}
        }
    }
}

fn find_mut<'t>(root: &'t mut Table, section: &str) -> Option<&'t mut dyn TableLike> {
    let mut table: &mut dyn TableLike = root;
    for name in section.split('.') {
        table = table.get_mut(name)?.as_table_like_mut()?;
    }
    Some(table)
}

/// The section, made if it is not there. `None` where something else has its name: `check` says so.
fn make<'t>(root: &'t mut Table, section: &str, new_file: bool) -> Option<&'t mut dyn TableLike> {
    let mut table: &mut dyn TableLike = root;
    for name in section.split('.') {
        if !table.contains_key(name) {
            let mut made = Table::new();
            if let Some((_, comment)) = SECTIONS.iter().find(|(of, _)| new_file && *of == section) {
                made.decor_mut().set_prefix(format!("\n{comment}\n"));
            }
            table.insert(name, Item::Table(made));
        }
        table = table.get_mut(name)?.as_table_like_mut()?;
    }
    Some(table)
}

fn put(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key).map(Item::as_value_mut) {
        Some(Some(there)) if says(there) == says(&value) => {}
        Some(Some(there)) => {
            *value.decor_mut() = there.decor().clone();
            *there = value;
        }
        Some(None) | None => {
            value.decor_mut().clear();
            table.insert(key, Item::Value(value));
        }
    }
}

/// What a value says, however it is written.
fn says(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.value()),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(truth) => truth.value().to_string(),
        Value::Datetime(time) => time.value().to_string(),
        Value::Array(list) => format!("[{}]", list.iter().map(says).collect::<Vec<_>>().join(",")),
        Value::InlineTable(table) => {
            let items = table.iter().map(|(key, value)| format!("{key}={}", says(value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(","))
        }
    }
}

/// A list of texts.
pub(super) fn texts<T: AsRef<str>>(all: &[T]) -> Value {
    Value::Array(all.iter().map(|text| text.as_ref()).collect())
}

/// A path as a text.
pub(super) fn path(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a person leaves it: comments, an odd order, a key that nobody knows, quotes and numbers of their own.
    const BY_HAND: &str = r#"# Mueller's, do not touch the pins!
[[till]]
number = 0x1      # front
port   = '/dev/ttyS0'   # under the counter
protocol = "plain"

[till.line]
baud = 19_200 # slow cable

# the shop
[shop]
language = 'de'
name = "Old name"     # ask Anna before you change it
currency = "EUR"
colour = "green"      # not ours

[platform]
pins = [ # two
    "aa",
    "bb", # next year's
]
rules = { strict = true }
"#;

    fn by_hand() -> Draft {
        Draft::of(Some(BY_HAND)).unwrap()
    }

    #[test]
    fn what_says_the_same_stays_as_it_is_written() {
        let mut draft = by_hand();
        draft.set("shop", "name", "Old name");
        draft.set("shop", "language", "de");
        draft.set("platform", "pins", texts(&["aa", "bb"]));
        draft.set_if_absent("shop", "currency", "CHF");
        draft.take_in("[[till]]\nnumber = 1\nport = \"/dev/ttyS0\"\nline.baud = 19200\n").unwrap();
        draft.remove("shop", "none");
        draft.remove_section("network.wifi");
        assert_eq!(draft.text(), BY_HAND);
    }

    #[test]
    fn a_changed_value_changes_itself_and_nothing_else() {
        let mut draft = by_hand();
        draft.set("shop", "name", "New name");
        draft.take_in("[[till]]\nnumber = 1\nline.baud = 9600\n").unwrap();
        let expected = BY_HAND.replace("Old name", "New name").replace("19_200", "9600");
        assert_eq!(draft.text(), expected);
    }

    #[test]
    fn what_is_new_comes_after_what_is_there() {
        let mut draft = by_hand();
        draft.set("shop", "time_zone", "Europe/Berlin");
        let line = vec![("data_bits", 7.into()), ("parity", "even".into())];
        let port = "/dev/ttyS1".to_owned();
        draft.add_till(&NewTill {
            number: 2,
            port,
            protocol: "concert",
            line,
            concert_number: Some(9),
            ..NewTill::default()
        });
        draft.set("network", "uplink", "eth0");
        let text = draft.text();
        let expected = BY_HAND.replace("\n\n[platform]", "\ntime_zone = \"Europe/Berlin\"\n\n[platform]");
        let till = "\n[[till]]\nnumber = 2                      # customers type this: put it on a card at the till\n\
                    port = \"/dev/ttyS1\"\nprotocol = \"concert\"\n\n[till.line]\ndata_bits = 7\nparity = \"even\"\n\n\
                    [till.concert]\nnumber = 9\n";
        let expected = expected.replace("# slow cable\n", &format!("# slow cable\n{till}"));
        assert_eq!(text, format!("{expected}\n[network]\nuplink = \"eth0\"\n"));
        assert_eq!(Draft::of(Some(&text)).unwrap().tills().len(), 2);
    }

    #[test]
    fn a_new_file_explains_itself_and_a_section_goes_whole() {
        let mut draft = Draft::of(None).unwrap();
        draft.set("shop", "name", "A");
        draft.set("portal", "listen", "0.0.0.0:80");
        draft.set("network.wifi", "ssid", "A");
        draft.set("network", "uplink", "eth0");
        draft.remove_section("network.wifi");
        let text = draft.text();
        assert!(text.starts_with("# Written by `tillgate setup`"), "{text}");
        let rest =
            "\n[shop]\nname = \"A\"\n\n# Where customers' phones find the pages.\n[portal]\nlisten = \"0.0.0.0:80\"\n";
        assert!(text.contains(rest) && text.ends_with("[network]\nuplink = \"eth0\"\n"), "{text}");
        draft.remove_section("network");
        assert!(!draft.text().contains("network"), "{}", draft.text());
    }

    #[test]
    fn tables_are_found_however_they_are_written() {
        let text = "till = [{number = 1, port = \"/a\"}]\nshop.name = \"A\"\nportal = {listen = \"x\"}\n";
        let mut draft = Draft::of(Some(text)).unwrap();
        assert_eq!(draft.tills(), [(1, "/a".to_owned())]);
        draft.set("shop", "name", "B");
        draft.set("portal", "url", "y");
        draft.add_till(&NewTill { number: 2, port: "/b".to_owned(), protocol: "zvt", ..NewTill::default() });
        let text = draft.text();
        assert!(
            text.contains("shop.name = \"B\"\n") && text.contains("portal = {listen = \"x\", url = \"y\" }\n"),
            "{text}"
        );
        assert_eq!(Draft::of(Some(&text)).unwrap().tills(), [(1, "/a".to_owned()), (2, "/b".to_owned())]);
    }

    #[test]
    fn lines_end_as_they_did() {
        let text = BY_HAND.replace('\n', "\r\n");
        let mut draft = Draft::of(Some(&text)).unwrap();
        assert_eq!(draft.text(), text);
        draft.set("shop", "name", "New name");
        assert_eq!(draft.text(), text.replace("Old name", "New name"));
    }

    #[test]
    fn answers_of_another_shape_are_refused_and_say_what_to_write() {
        for (answers, words) in [
            ("name = \"A\"\n", "write [shop]"),
            ("[till]\nnumber = 1\n", "with double brackets"),
            ("[shop\n", "line 1"),
        ] {
            let said = by_hand().take_in(answers).unwrap_err();
            assert!(said.contains(words), "{answers}: {said}");
        }
    }

    #[test]
    fn a_till_of_the_answers_comes_with_its_line() {
        let mut draft = by_hand();
        let answers = "[[till]]\nnumber = 3\nport = \"/dev/ttyS3\"\n[till.line]\nbaud = 1200\n\n[[till]]\nnumber = 4\nport = \"/b\"\n";
        draft.take_in(answers).unwrap();
        let text = draft.text();
        assert!(text.contains("number = 3\nport = \"/dev/ttyS3\"\n[till.line]\nbaud = 1200\n"), "{text}");
        assert_eq!(draft.tills().len(), 3, "{text}");
        let again = text.clone();
        draft.take_in(answers).unwrap();
        assert_eq!(draft.text(), again);
    }
}
