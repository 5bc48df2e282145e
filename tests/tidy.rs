//! The source checked as text: floors, homes of crates, lengths, words. Knows nothing of what the program does.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What each module may import of ours. Adapters are strangers to one another; imports point down only.
const FLOORS: &[(&str, &[&str])] = &[
    ("shop", &[]),
    ("inbox", &["shop"]),
    ("clock", &["shop"]),
    ("passed", &[]),
    ("till", &["shop", "inbox", "clock"]),
    ("portal", &["shop", "inbox", "clock", "passed"]),
    ("platform", &["shop", "inbox", "clock"]),
    ("network", &["shop", "inbox", "clock"]),
    ("store", &["shop", "inbox", "clock"]),
    ("sandbox", &["shop", "clock"]),
    ("config", &["shop", "till", "network", "platform"]),
    ("sockets", &["config", "network", "passed"]),
    ("control", &[]),
    ("logging", &[]),
    ("listing", &["shop", "store", "control"]),
    ("ring", &["shop", "store"]),
    ("gateway", &["shop", "inbox", "clock", "till", "portal", "platform", "network", "store", "ring"]),
    (
        "daemon",
        &[
            "shop", "inbox", "clock", "till", "portal", "platform", "network", "store", "config", "control", "logging",
            "listing", "ring", "gateway", "passed", "sockets",
        ],
    ),
    (
        "demo",
        &[
            "shop", "inbox", "clock", "till", "portal", "platform", "network", "store", "sandbox", "config", "control",
            "logging", "listing", "ring", "gateway", "passed", "daemon",
        ],
    ),
    ("doctor", &["shop", "clock", "config", "control", "network", "platform", "store", "till"]),
    ("setup", &["shop", "till", "network", "platform", "config", "doctor"]),
    // Built for fuzzing only.
    ("fuzz", &["shop", "till", "portal", "platform", "network", "store", "config"]),
    // Of the package's build only.
    ("pages", &[]),
    ("lib", &[]),
];

/// Where each crate is used. `main` and `demo` see everything and still name what they need.
const HOMES: &[(&str, &[&str])] = &[
    // Turns bytes into what is fuzzed.
    ("arbitrary", &["shop", "till", "store"]),
    ("argon2", &["sandbox"]),
    ("askama", &["portal", "sandbox", "demo"]),
    ("axum", &["portal", "sandbox", "demo"]),
    ("bytes", &["portal", "platform", "sandbox", "demo"]),
    (
        "clap",
        &["main", "till", "network", "platform", "sandbox", "listing", "demo", "doctor", "setup", "pages", "books"],
    ),
    ("clap_complete", &["pages"]),
    ("clap_mangen", &["pages"]),
    ("fixed_decimal", &["portal"]),
    ("fluent_bundle", &["portal"]),
    ("fluent_langneg", &["portal"]),
    ("http_body_util", &["portal", "platform", "sandbox", "demo"]),
    ("hyper", &["portal", "platform", "sandbox", "config", "demo", "doctor"]),
    ("hyper_rustls", &["platform", "demo"]),
    ("hyper_util", &["portal", "platform", "sandbox", "demo"]),
    ("icu_decimal", &["portal"]),
    ("icu_locale_core", &["portal"]),
    ("ipnet", &["network", "config"]),
    ("jiff", &["books", "config", "listing", "till", "portal", "platform", "store", "sandbox", "daemon", "doctor"]),
    ("mdns_sd", &["network"]),
    ("listenfd", &["network", "passed"]),
    ("rcgen", &["platform", "sandbox", "demo"]),
    ("ring", &["clock", "portal", "platform", "network", "store", "sandbox", "daemon", "demo"]),
    ("rusqlite", &["store", "sandbox"]),
    ("rustix", &["clock", "till", "portal", "platform", "network", "store", "control", "daemon", "demo", "setup"]),
    ("rustls", &["platform", "portal", "sandbox", "config", "demo"]),
    ("webpki", &["platform", "sandbox", "config"]),
    ("sd_notify", &["network", "daemon", "gateway"]),
    ("serde", &["portal", "platform", "sandbox", "control", "listing", "demo", "doctor"]),
    ("serde_json", &["main", "portal", "platform", "sandbox", "control", "listing", "demo", "doctor"]),
    ("serialport", &["till", "demo"]),
    ("similar", &["network", "setup"]),
    ("socket2", &["network"]),
    ("tokio_rustls", &["sandbox", "platform", "portal", "demo"]),
    (
        "tokio",
        &[
            "inbox", "till", "portal", "platform", "network", "sandbox", "control", "gateway", "daemon", "demo",
            "doctor", "setup",
        ],
    ),
    ("toml", &["config"]),
    ("toml_edit", &["setup"]),
    ("tower", &["portal", "platform", "sandbox", "demo"]),
    (
        "tracing",
        &[
            "logging", "till", "portal", "platform", "network", "store", "sandbox", "control", "gateway", "daemon",
            "demo", "main",
        ],
    ),
    ("tracing_journald", &["logging"]),
    ("tracing_subscriber", &["logging"]),
    ("unic_langid", &["portal"]),
];

/// Crates that only tests use.
const TEST_CRATES: &[&str] = &["fantoccini", "fluent_syntax", "spdx"];

/// Crates whose name in code is not their name in `Cargo.toml`.
const RENAMED: &[(&str, &str)] = &[("rustls_webpki", "webpki")];

/// What would make the shop impure.
const IMPURE: &[&str] = &[
    "tokio",
    "rusqlite",
    "hyper",
    "serde",
    "tracing",
    "std::fs",
    "std::thread",
    "std::net::TcpStream",
    "std::time",
    "Instant",
    "SystemTime",
    "rand",
    "HashMap",
    "HashSet",
];

const BANNED_CRATES: &[&str] = &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "rsa"];

/// Files have at most about 500 lines: longer ones are named, much longer ones refused. Functions have about 60.
const FILE_LINES_LONG: usize = 500;
const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 75;

/// A file: its path from the root of the project, its text, and the same text with comments and literals blanked.
struct Source {
    path: String,
    text: String,
    code: String,
    /// The number of lines before the tests inside it.
    tests_from: usize,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let code = blank(text);
        let all_tests = !path.starts_with("src/") || path.ends_with("tests.rs") || path.contains("/tests/");
        let tests_from = match code.lines().position(|l| l.trim() == "#[cfg(test)]") {
            _ if all_tests => 0,
            Some(line) if code.lines().nth(line + 1).is_some_and(|l| l.starts_with("mod ") && l.ends_with('{')) => line,
            Some(_) | None => code.lines().count(),
        };
        Source { path: path.to_owned(), text: text.to_owned(), code, tests_from }
    }

    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    fn says(&self, line: usize, what: impl AsRef<str>) -> String {
        format!("{}:{}: {}", self.path, line + 1, what.as_ref())
    }
}

/// The text with comments, strings and characters replaced by blanks, new lines kept.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        match end {
            Some(end) => {
                code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
                at = end;
            }
            None => {
                code.push(chars[at]);
                at += 1;
            }
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends, if one does.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let get = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let in_word = at > 0 && (get(at - 1).is_alphanumeric() || get(at - 1) == '_');
    match (get(at), get(at + 1)) {
        ('/', '/') => Some((at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len())),
        ('/', '*') => {
            let mut depth = 0;
            let mut i = at;
            while i < chars.len() {
                match (get(i), get(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 {
                    return Some(i);
                }
            }
            Some(chars.len())
        }
        ('r', '"' | '#') if !in_word || get(at - 1) == 'b' => {
            let marks = (at + 1..).take_while(|i| get(*i) == '#').count();
            if get(at + 1 + marks) != '"' {
                return None;
            }
            let ends = |i: usize| chars[i] == '"' && (1..=marks).all(|n| get(i + n) == '#');
            Some((at + 2 + marks..chars.len()).find(|i| ends(*i)).map_or(chars.len(), |i| i + 1 + marks))
        }
        ('"', _) => {
            let mut i = at + 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            Some((i + 1).min(chars.len()))
        }
        ('\'', '\\') => Some((at + 3..chars.len()).find(|i| chars[*i] == '\'').map_or(chars.len(), |i| i + 1)),
        ('\'', _) if get(at + 2) == '\'' => Some(at + 3),
        _ => None,
    }
}

/// The places of `word` in `line` where it stands alone.
fn words<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = line[..*at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

fn opening_lines(files: &[Source]) -> Vec<String> {
    let bad = files.iter().filter(|f| !f.text.starts_with("//! "));
    bad.map(|f| f.says(0, "a file opens with one `//!` sentence: what it is and what it does not do")).collect()
}

/// Names that follow `crate::` at any place, braces included, with their lines.
fn imports(file: &Source, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in file.code.match_indices(root) {
        let line = file.code[..at].matches('\n').count();
        let rest = &file.code[at + root.len()..];
        let name =
            |s: &str| s.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => found.push((line, name(rest))),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in list.char_indices() {
                    if start && depth == 0 && c.is_alphanumeric() {
                        found.push((line, name(&list[i..])));
                    }
                    start = (c == ',' || (start && c.is_whitespace())) && depth == 0;
                    start |= i == 0 && c.is_whitespace();
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn floors(files: &[Source]) -> Vec<String> {
    let mut bad = Vec::new();
    // These two are the command line, and no part of the library.
    let program = ["src/main.rs", "src/books.rs"];
    for file in files.iter().filter(|f| f.path.starts_with("src/") && !program.contains(&f.path.as_str())) {
        let me = file.module();
        let Some((_, may)) = FLOORS.iter().find(|(name, _)| *name == me) else {
            bad.push(file.says(0, format!("`{me}` has no floor: give it one in tests/tidy.rs and ARCHITECTURE.md")));
            continue;
        };
        for (line, name) in imports(file, "crate::") {
            let module = FLOORS.iter().any(|(known, _)| *known == name);
            if module && name != me && !may.contains(&name.as_str()) {
                bad.push(file.says(line, format!("`{me}` may not import `{name}`")));
            }
        }
        for (line, _) in imports(file, "tillgate::") {
            bad.push(file.says(line, "inside the library write `crate::`"));
        }
        let depth = file.path.matches('/').count() - usize::from(file.path.ends_with("/mod.rs"));
        for (line, text) in file.code.lines().enumerate() {
            let free = usize::from(line >= file.tests_from && !file.path.ends_with("/tests.rs"));
            if text.contains(&"super::".repeat(depth + free)) {
                bad.push(file.says(line, "`super::` leaves the module: write `crate::`"));
            }
        }
    }
    bad
}

fn homes(files: &[Source]) -> Vec<String> {
    let mut bad = Vec::new();
    for file in files.iter().filter(|f| f.path.starts_with("src/")) {
        for (krate, may) in HOMES.iter().filter(|(_, may)| !may.contains(&file.module())) {
            for (line, text) in file.code.lines().enumerate().take(file.tests_from) {
                let used = words(text, krate).any(|at| {
                    let path = text[at + krate.len()..].starts_with("::");
                    let whole = text.trim_start().starts_with("use ") && text[at + krate.len()..].starts_with(';');
                    let inside = text[..at].ends_with("::") || text[..at].ends_with('{') || text[..at].ends_with(", ");
                    (path || whole) && !inside
                });
                if used {
                    bad.push(file.says(line, format!("`{krate}` is at home in {}", may.join(", "))));
                }
            }
        }
    }
    bad
}

/// Every dependency has a home, and every home a dependency.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut there = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            let name = name.trim().replace('-', "_");
            let name = RENAMED.iter().find(|(old, _)| *old == name).map_or(name.clone(), |(_, new)| (*new).to_owned());
            there.insert(name);
        }
    }
    let known: BTreeSet<String> =
        HOMES.iter().map(|(k, _)| *k).chain(TEST_CRATES.iter().copied()).map(str::to_owned).collect();
    let homeless = there.difference(&known).map(|k| format!("Cargo.toml: `{k}` has no home in tests/tidy.rs"));
    let gone = known.difference(&there).map(|k| format!("tests/tidy.rs: `{k}` is no dependency any more"));
    homeless.chain(gone).collect()
}

/// Mistakes are planted by tests: no other feature turns them on, and what is built without debug assertions refuses them.
fn planted(manifest: &str, planted: &str) -> Vec<String> {
    let mut bad = Vec::new();
    let features = manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap_or("");
    let named = |line: &&str| !line.trim_start().starts_with('#') && line.contains("planted-mistakes");
    if features.lines().filter(named).ne(["planted-mistakes = []"]) {
        bad.push("Cargo.toml: `planted-mistakes = []` stands alone: no feature may bring it".to_owned());
    }
    if manifest.lines().any(|line| line.replace(' ', "").starts_with("debug-assertions=")) {
        bad.push("Cargo.toml: profiles keep their own debug assertions, which keep planted mistakes out".to_owned());
    }
    let refusal = "#[cfg(all(feature = \"planted-mistakes\", not(debug_assertions)))]\ncompile_error!(";
    if !planted.contains(refusal) {
        bad.push("src/shop/planted.rs: a release with planted mistakes must not compile".to_owned());
    }
    bad
}

fn pure_shop(files: &[Source]) -> Vec<String> {
    let mut bad = Vec::new();
    for file in files.iter().filter(|f| f.path.starts_with("src/shop/")) {
        for (line, text) in file.code.lines().enumerate() {
            for word in IMPURE.iter().filter(|w| words(text, w).next().is_some()) {
                bad.push(file.says(line, format!("`{word}` may not stand in the shop")));
            }
        }
    }
    bad
}

/// A `_` arm beside arms that name variants of ours. Matches on numbers, bytes or options may have one.
fn open_matches(files: &[Source]) -> Vec<String> {
    let mut bad = Vec::new();
    for file in files.iter().filter(|f| f.path.starts_with("src/shop/")) {
        let lines: Vec<&str> = file.code.lines().take(file.tests_from).collect();
        for (at, text) in lines.iter().enumerate().filter(|(_, l)| l.trim_start().starts_with("_ =>")) {
            let indent = |l: &str| l.len() - l.trim_start().len();
            let arms = lines[..at].iter().rev().take_while(|l| l.trim().is_empty() || indent(l) >= indent(text));
            let mut arms = arms.filter(|l| indent(l) == indent(text)).map(|l| l.split("=>").next().unwrap_or(l));
            if arms.any(names_a_variant) {
                bad.push(file.says(at, "no `_` arm on our own enums: a new state must be decided everywhere"));
            }
        }
    }
    bad
}

fn names_a_variant(pattern: &str) -> bool {
    let pattern = pattern.split(" if ").next().unwrap_or(pattern);
    let names = pattern.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    names.filter(|n| n.chars().next().is_some_and(char::is_uppercase)).any(|n| {
        let constant = n.chars().all(|c| c.is_uppercase() || c.is_numeric() || c == '_') && n.len() > 1;
        !constant && !["Some", "None", "Ok", "Err"].contains(&n)
    })
}

fn lengths(files: &[Source]) -> Vec<String> {
    let mut bad = Vec::new();
    for file in files.iter().filter(|f| f.path.starts_with("src/")) {
        if (FILE_LINES_LONG..=FILE_LINES_MAX).contains(&file.tests_from) {
            println!("{}", file.says(0, format!("{} lines without tests", file.tests_from)));
        }
        if file.tests_from > FILE_LINES_MAX {
            bad.push(file.says(0, format!("{} lines without tests: is it one thing?", file.tests_from)));
        }
        let lines: Vec<&str> = file.code.lines().take(file.tests_from).collect();
        for (at, text) in lines.iter().enumerate() {
            let indent = text.len() - text.trim_start().len();
            // A type such as `fn(&A) -> B` is no function.
            let function = words(text, "fn").any(|at| text[at..].starts_with("fn "));
            if !function || text.trim_end().ends_with([';', '}']) {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[at..].iter().position(|l| l.trim_end() == close) else { continue };
            if length + 1 > FUNCTION_LINES_MAX {
                bad.push(file.says(at, format!("a function of {} lines: is it one thing?", length + 1)));
            }
        }
    }
    bad
}

fn unfinished(files: &[Source]) -> Vec<String> {
    let everywhere = ["todo!", "unimplemented!", "dbg!", "#[ignore"];
    let in_tests = ["::sleep"];
    let mut bad = Vec::new();
    for file in files {
        for (line, text) in file.code.lines().enumerate() {
            // A bench goes by the clock: a sale a second, an idle minute.
            let is_test = line >= file.tests_from && !file.path.starts_with("benches/");
            let tests: &[&str] = if is_test { &in_tests } else { &[] };
            for word in everywhere.iter().chain(tests).filter(|w| text.contains(**w)) {
                bad.push(file.says(line, format!("`{word}` may not stand here")));
            }
        }
    }
    bad
}

fn banned_crates(lock: &str) -> Vec<String> {
    let there = |name: &&&str| lock.lines().any(|l| l == format!("name = \"{name}\""));
    BANNED_CRATES.iter().filter(there).map(|name| format!("Cargo.lock: `{name}` is banned, see deny.toml")).collect()
}

/// Paths of whoever wrote it have no meaning for whoever reads it.
fn foreign_paths(files: &[Source], here: &str) -> Vec<String> {
    let mut bad = Vec::new();
    for file in files {
        for (line, text) in file.text.lines().enumerate() {
            if text.contains(here) || text.contains(concat!("/ho", "me/")) || text.contains(concat!("/Use", "rs/")) {
                bad.push(file.says(line, "this is a path of one person's machine"));
            }
        }
    }
    bad
}

// The project itself.

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, endings, found);
        } else if path.extension().is_some_and(|e| endings.iter().any(|w| e == *w)) {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.push(Source::new(&name, &std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"].map(|f| root().join(f)).iter().filter(|f| f.is_dir()) {
        read(folder, &["rs"], &mut found);
    }
    assert!(found.len() > 10, "the source is not where this test looks for it");
    found
}

fn none(bad: Vec<String>) {
    assert!(bad.is_empty(), "\n{}\n", bad.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    none(opening_lines(&sources()));
}

#[test]
fn imports_point_down_and_strangers_stay_strangers() {
    none(floors(&sources()));
}

#[test]
fn crates_stay_at_home() {
    none(homes(&sources()));
    none(dependencies(&std::fs::read_to_string(root().join("Cargo.toml")).unwrap()));
}

#[test]
fn a_release_cannot_have_planted_mistakes() {
    let read = |path| std::fs::read_to_string(root().join(path)).unwrap();
    let (manifest, code) = (read("Cargo.toml"), read("src/shop/planted.rs"));
    none(planted(&manifest, &code));
    let default = manifest.replace("planted-mistakes = []", "default = [\"planted-mistakes\"]\nplanted-mistakes = []");
    assert_eq!(planted(&default, &code).len(), 1);
    assert_eq!(
        planted(&manifest.replace("[profile.release]", "[profile.release]\ndebug-assertions = true"), &code).len(),
        1
    );
    assert_eq!(planted(&manifest, &code.replace("compile_error!", "// ")).len(), 1);
}

#[test]
fn the_shop_is_pure_and_decides_every_state() {
    none(pure_shop(&sources()));
    none(open_matches(&sources()));
}

#[test]
fn files_and_functions_are_short() {
    none(lengths(&sources()));
}

#[test]
fn nothing_is_unfinished_ignored_or_asleep() {
    none(unfinished(&sources()));
}

#[test]
fn banned_crates_are_not_locked() {
    none(banned_crates(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap()));
}

#[test]
fn no_path_of_anybodys_machine_is_written_down() {
    let mut files = sources();
    for folder in ["docs", "tests", ".ci"].map(|f| root().join(f)).iter().filter(|f| f.is_dir()) {
        read(folder, &["md", "toml", "sh", "yaml", "yml", "json"], &mut files);
    }
    for name in
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "Cargo.toml", "tests/run", ".ci/run"]
    {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        files.push(Source::new(name, &text));
    }
    none(foreign_paths(&files, env!("CARGO_MANIFEST_DIR")));
}

// Each check catches what it is for.

/// The one complaint about a file of this text, or "" for none.
fn caught(check: fn(&[Source]) -> Vec<String>, path: &str, text: &str) -> String {
    let bad = check(&[Source::new(path, text)]);
    assert!(bad.len() <= 1, "{bad:?}");
    bad.first().cloned().unwrap_or_default()
}

#[test]
fn literals_and_comments_are_no_code() {
    let text = "a // todo!\nb /* x /* y */ z */ c \"s\\\"t\" d r#\"q\"u\"# e 'f' '\\'' g<'h> b'i' br\"j\" k";
    let words: Vec<_> = blank(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "b", "c", "d", "e", "g<'h>", "b", "b", "k"]);
}

#[test]
fn a_file_without_an_opening_line_is_caught() {
    assert_eq!(caught(opening_lines, "src/a.rs", "//! A thing.\n"), "");
    assert!(caught(opening_lines, "src/a.rs", "use b;\n").starts_with("src/a.rs:1: a file opens"));
}

#[test]
fn an_import_that_points_up_or_sideways_is_caught() {
    for (path, text, answer) in [
        ("src/till/port.rs", "use crate::shop::event::Event;", ""),
        ("src/till/port.rs", "use crate::till::frame;", ""),
        ("src/till/port.rs", "// see crate::portal", ""),
        ("src/till/port.rs", "use super::frame;", ""),
        ("src/shop/sale.rs", "use crate::inbox::Inbox;", "src/shop/sale.rs:1: `shop` may not import `inbox`"),
        ("src/till/port.rs", "\nlet x = crate::portal::new();", "src/till/port.rs:2: `till` may not import `portal`"),
        ("src/store/mod.rs", "use crate::{shop::id, gateway};", "src/store/mod.rs:1: `store` may not import `gateway`"),
        (
            "src/store/mod.rs",
            "use crate::{\n    shop::{id, time},\n    demo,\n};",
            "src/store/mod.rs:1: `store` may not import `demo`",
        ),
        ("src/store/mod.rs", "use super::gateway;", "src/store/mod.rs:1: `super::` leaves the module: write `crate::`"),
        (
            "src/store/row.rs",
            "use super::super::till;",
            "src/store/row.rs:1: `super::` leaves the module: write `crate::`",
        ),
        ("src/till/plain_tests.rs", "use super::super::frame;", ""),
        (
            "src/till/tests.rs",
            "use super::super::shop;",
            "src/till/tests.rs:1: `super::` leaves the module: write `crate::`",
        ),
        ("src/config.rs", "use tillgate::till::Till;", "src/config.rs:1: inside the library write `crate::`"),
        (
            "src/cellar.rs",
            "",
            "src/cellar.rs:1: `cellar` has no floor: give it one in tests/tidy.rs and ARCHITECTURE.md",
        ),
    ] {
        assert_eq!(caught(floors, path, text), answer, "{text}");
    }
}

#[test]
fn a_crate_away_from_home_is_caught() {
    for (path, text, away) in [
        ("src/till/port.rs", "use serialport::TTYPort;", false),
        ("src/portal/mod.rs", "use serialport::TTYPort;", true),
        ("src/portal/mod.rs", "use rusqlite;", true),
        ("src/portal/mod.rs", "let x = rusqlite::open();", true),
        ("src/config/pair.rs", "use rustls::crypto::ring::sign;", false),
        ("src/config/pair.rs", "let bytes = bytes.len();", false),
        ("src/gateway.rs", "#[cfg(test)]\nmod tests {\n    use rusqlite::Connection;\n}", false),
    ] {
        assert_eq!(!caught(homes, path, text).is_empty(), away, "{text}");
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert_eq!(dependencies(&format!("{manifest}\n[dependencies]\nleft-pad = \"1\"\n")).len(), 1);
    assert_eq!(dependencies(&manifest.replace("askama =", "# askama")).len(), 2);
}

#[test]
fn an_impure_shop_and_an_open_match_are_caught() {
    assert!(caught(pure_shop, "src/shop/sale.rs", "use std::collections::HashMap;").contains("`HashMap`"));
    assert!(caught(pure_shop, "src/shop/sale.rs", "fn now() -> Instant {").contains("`Instant`"));
    assert_eq!(caught(pure_shop, "src/shop/sale.rs", "// no HashMap\nlet randomness = 1;"), "");
    let arms = |first: &str| {
        format!(
            "fn f() {{\n    match x {{\n        {first} => {{\n            1\n        }}\n        _ => 2,\n    }}\n}}"
        )
    };
    for (first, open) in [
        ("SaleState::Waiting", true),
        ("Paid { .. }", true),
        ("Some(Outcome::Approved)", true),
        ("Some(3)", false),
        ("[a, b] if Self::LETTERS.contains(a)", false),
        ("1 | 2", false),
    ] {
        assert_eq!(!caught(open_matches, "src/shop/sale.rs", &arms(first)).is_empty(), open, "{first}");
    }
}

#[test]
fn a_long_file_and_a_long_function_are_caught() {
    let function =
        |lines: usize| format!("impl A {{\n    fn f(\n    ) {{\n{}    }}\n}}\n", "        1;\n".repeat(lines));
    assert_eq!(caught(lengths, "src/a.rs", &function(60)), "");
    assert_eq!(caught(lengths, "src/a.rs", &function(80)), "src/a.rs:2: a function of 83 lines: is it one thing?");
    let field = format!("struct A {{\n    b: fn(&C) -> D,\n}}\nimpl A {{\n    {}\n    }}\n}}\n", "1;\n".repeat(80));
    assert_eq!(caught(lengths, "src/a.rs", &field), "");
    assert!(caught(lengths, "src/a.rs", &"x\n".repeat(701)).contains("701 lines"));
    let tested = format!("x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "y\n".repeat(701));
    assert_eq!(caught(lengths, "src/a.rs", &tested), "");
}

#[test]
fn unfinished_ignored_and_sleeping_code_is_caught() {
    for (path, text, bad) in [
        ("src/a.rs", "todo!()", true),
        ("src/a.rs", "\"todo!\"", false),
        ("tests/it/a.rs", "#[ignore]", true),
        ("tests/it/a.rs", "#[ignore = \"slow\"]", true),
        ("src/a.rs", "std::thread::park(); thread::yield_now(); wait()", false),
        ("src/a.rs", "tokio::time::pause(); rest()", false),
    ] {
        assert_eq!(!caught(unfinished, path, text).is_empty(), bad, "{text}");
    }
    for (path, text) in [
        ("tests/it/a.rs", "std::thread::sleep(d)"),
        ("src/a.rs", "#[cfg(test)]\nmod tests {\n    tokio::time::sleep(d)\n}"),
        ("src/a/tests.rs", "tokio::time::sleep(d)"),
    ] {
        assert!(!unfinished(&[Source::new(path, text)]).is_empty(), "{text}");
    }
    assert_eq!(caught(unfinished, "src/a.rs", "tokio::time::sleep(d)"), "");
    assert_eq!(caught(unfinished, "benches/a.rs", "std::thread::sleep(d)"), "");
}

#[test]
fn each_message_that_needs_a_person_is_in_the_journals_catalogue_and_the_other_way_round() {
    let named: BTreeSet<String> = sources()
        .iter()
        .flat_map(|file| file.text.split("message_id = \"").skip(1).filter_map(|rest| rest.split('"').next()))
        .map(str::to_owned)
        .collect();
    let catalogue = std::fs::read_to_string("packaging/systemd/tillgate.catalog").unwrap();
    let known: BTreeSet<String> =
        catalogue.lines().filter_map(|line| line.strip_prefix("-- ")).map(str::to_owned).collect();
    assert_eq!(named, known);
    assert!(known.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{known:?}");
}

#[test]
fn a_banned_crate_and_a_foreign_path_are_caught() {
    assert_eq!(banned_crates("[[package]]\nname = \"openssl\"\n").len(), 1);
    assert_eq!(banned_crates("[[package]]\nname = \"openssl-probe\"\n").len(), 0);
    let file = |text| [Source::new("README.md", text)];
    assert_eq!(foreign_paths(&file("cd /somewhere/tillgate"), "/somewhere/tillgate").len(), 1);
    assert_eq!(foreign_paths(&file(concat!("cd /ho", "me/anna")), "/somewhere").len(), 1);
    assert_eq!(foreign_paths(&file("cd /var/lib/tillgate"), "/somewhere").len(), 0);
}
