//! The languages of the portal: which there are, which one a phone wants, and their texts. Knows no pages.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use fluent_langneg::{LanguageIdentifier, NegotiationStrategy, negotiate_languages};
use std::fmt;

/// Longest `Accept-Language` that is read; the rest is ignored.
const ACCEPT_BYTES_MAX: usize = 512;

/// A language that every text of the portal exists in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// English
    En,
    /// German
    De,
    /// French
    Fr,
    /// Spanish
    Es,
    /// Chinese in simplified characters
    ZhHans,
    /// Arabic
    Ar,
}

impl Language {
    /// All of them, in the order in which the start page offers them.
    pub const ALL: [Language; 6] =
        [Language::En, Language::De, Language::Fr, Language::Es, Language::ZhHans, Language::Ar];

    /// The BCP 47 tag, as in the `lang` attribute and in the configuration.
    pub fn tag(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::De => "de",
            Language::Fr => "fr",
            Language::Es => "es",
            Language::ZhHans => "zh-Hans",
            Language::Ar => "ar",
        }
    }

    /// The language with exactly this tag.
    pub fn from_tag(tag: &str) -> Option<Language> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// Its name in itself.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Language::En => "English",
            Language::De => "Deutsch",
            Language::Fr => "Français",
            Language::Es => "Español",
            Language::ZhHans => "中文",
            Language::Ar => "العربية",
        }
    }

    /// Which way it is written, as in the `dir` attribute.
    pub(super) fn direction(self) -> &'static str {
        match self {
            Language::Ar => "rtl",
            Language::En | Language::De | Language::Fr | Language::Es | Language::ZhHans => "ltr",
        }
    }

    /// The best language for an `Accept-Language` header, if any of ours is wanted (RFC 9110, 12.5.4).
    pub(super) fn accepted(header: &str) -> Option<Language> {
        let mut ranges: Vec<(u16, LanguageIdentifier)> =
            header.get(..ACCEPT_BYTES_MAX).unwrap_or(header).split(',').filter_map(weighted).collect();
        ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let wanted: Vec<_> = ranges.into_iter().map(|(_, id)| id).collect();
        let ours = Self::ALL.map(|language| language.tag().parse::<LanguageIdentifier>().unwrap_or_default());
        let best = negotiate_languages(&wanted, &ours, None, NegotiationStrategy::Lookup);
        best.first().and_then(|id| Self::from_tag(&id.to_string()))
    }

    fn source(self) -> &'static str {
        match self {
            Language::En => include_str!("locales/en.ftl"),
            Language::De => include_str!("locales/de.ftl"),
            Language::Fr => include_str!("locales/fr.ftl"),
            Language::Es => include_str!("locales/es.ftl"),
            Language::ZhHans => include_str!("locales/zh-Hans.ftl"),
            Language::Ar => include_str!("locales/ar.ftl"),
        }
    }
}

/// One range of the header with its weight in thousandths. The texts know no regions and write Chinese in one way
/// only, so every range is cut down to its language.
fn weighted(range: &str) -> Option<(u16, LanguageIdentifier)> {
    let mut parts = range.split(';').map(str::trim);
    let tag: LanguageIdentifier = parts.next()?.parse().ok()?;
    let weight = match parts.find_map(|p| p.strip_prefix("q=")) {
        Some(q) => thousandths(q)?,
        None => 1_000,
    };
    let language = match tag.language.as_str() {
        "zh" => "zh-Hans",
        other => other,
    };
    (weight > 0).then_some((weight, language.parse().ok()?))
}

fn thousandths(q: &str) -> Option<u16> {
    let (whole, part) = q.split_once('.').unwrap_or((q, ""));
    let well_formed = matches!(whole, "0" | "1") && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    let number: u16 = well_formed.then(|| format!("{whole}{part:0<3}").parse().ok())??;
    (number <= 1_000).then_some(number)
}

/// Every text in every language, read once at start.
pub(super) struct Texts(Vec<(Language, FluentBundle<FluentResource>)>);

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Texts(..)")
    }
}

impl Texts {
    /// Reads the texts built into the program. What does not parse is logged; the tests see to it that all does.
    pub(super) fn load() -> Texts {
        Texts(Language::ALL.into_iter().map(|language| (language, bundle(language))).collect())
    }

    /// The texts as one language says them.
    pub(super) fn voice(&self, language: Language) -> Voice<'_> {
        Voice { texts: self, language }
    }
}

fn bundle(language: Language) -> FluentBundle<FluentResource> {
    let mut bundle = FluentBundle::new_concurrent(vec![language.tag().parse().unwrap_or_default()]);
    let resource = FluentResource::try_new(language.source().to_owned()).unwrap_or_else(|(resource, errors)| {
        tracing::error!(language = language.tag(), ?errors, "texts do not parse");
        resource
    });
    if let Err(errors) = bundle.add_resource(resource) {
        tracing::error!(language = language.tag(), ?errors, "texts stand twice");
    }
    bundle
}

/// The texts in one language.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice<'a> {
    texts: &'a Texts,
    /// Which language.
    pub(super) language: Language,
}

impl Voice<'_> {
    /// A text without variables.
    pub(super) fn say(&self, id: &str) -> String {
        self.format(id, None)
    }

    /// A text with its one variable.
    pub(super) fn say_with<'v>(&self, id: &str, name: &'static str, value: impl Into<FluentValue<'v>>) -> String {
        let mut args = FluentArgs::new();
        args.set(name, value);
        self.format(id, Some(&args))
    }

    fn format(&self, id: &str, args: Option<&FluentArgs<'_>>) -> String {
        let bundle = self.texts.0.iter().find(|(language, _)| *language == self.language).map(|(_, bundle)| bundle);
        let Some(bundle) = bundle else { return id.to_owned() };
        let Some(pattern) = bundle.get_message(id).and_then(|message| message.value()) else {
            tracing::error!(id, language = self.language.tag(), "a text is missing");
            return id.to_owned();
        };
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, args, &mut errors).into_owned();
        if !errors.is_empty() {
            tracing::error!(id, language = self.language.tag(), ?errors, "a text lacks a variable");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    #[test]
    fn the_language_is_negotiated_by_weight() {
        for (header, answer) in [
            ("", None),
            ("de", Some("de")),
            ("de-AT,de;q=0.9,en;q=0.8", Some("de")),
            ("en;q=0.5, fr-CA;q=0.9", Some("fr")),
            ("nl,pt;q=0.9", None),
            ("nl, es-MX;q=0.3", Some("es")),
            ("zh-CN,zh;q=0.9", Some("zh-Hans")),
            ("zh-TW", Some("zh-Hans")),
            ("zh-Hans-SG", Some("zh-Hans")),
            ("ar-EG", Some("ar")),
            ("de;q=0, en;q=0.1", Some("en")),
            ("de;q=2, fr", Some("fr")),
            ("*", None),
            (";;,,q=1,\u{1f600}", None),
        ] {
            assert_eq!(Language::accepted(header).map(Language::tag), answer, "{header}");
        }
    }

    /// Message -> its variables, of one language.
    fn messages(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        let resource = FluentResource::try_new(language.source().to_owned()).expect("parses");
        let mut all = BTreeMap::new();
        for entry in resource.entries() {
            match entry {
                Entry::Message(m) => {
                    assert!(m.attributes.is_empty(), "{}: attributes are not used", m.id.name);
                    let mut variables = BTreeSet::new();
                    collect(m.value.as_ref().expect("a value"), &mut variables);
                    assert!(all.insert(m.id.name.to_owned(), variables).is_none(), "{} stands twice", m.id.name);
                }
                Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => {}
                Entry::Term(_) | Entry::Junk { .. } => panic!("{}: {entry:?}", language.tag()),
            }
        }
        all
    }

    fn collect(pattern: &Pattern<&str>, into: &mut BTreeSet<String>) {
        for element in &pattern.elements {
            if let PatternElement::Placeable { expression } = element {
                let selector = match expression {
                    Expression::Inline(inline) => inline,
                    Expression::Select { selector, variants } => {
                        variants.iter().for_each(|v| collect(&v.value, into));
                        selector
                    }
                };
                match selector {
                    InlineExpression::VariableReference { id } => {
                        into.insert(id.name.to_owned());
                    }
                    other => panic!("only variables stand in texts: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn every_language_has_every_message_with_the_same_variables() {
        let english = messages(Language::En);
        for language in Language::ALL {
            let here = messages(language);
            let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (here.keys().collect(), english.keys().collect());
            let odd: Vec<_> = ours.symmetric_difference(&theirs).collect();
            assert!(odd.is_empty(), "{}: missing or extra: {odd:?}", language.tag());
            for (id, variables) in &here {
                assert_eq!(variables, &english[id], "{}: variables of {id}", language.tag());
            }
        }
    }

    /// Every `say("id"` and `say_with("id", "variable"` and `Text("id")` in code and templates.
    fn uses() -> BTreeMap<String, BTreeSet<String>> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/portal");
        let mut found = BTreeMap::new();
        for folder in [here.clone(), here.join("assets")] {
            for file in std::fs::read_dir(folder).expect("the sources").map(|f| f.expect("a file").path()) {
                if !matches!(file.extension().and_then(|e| e.to_str()), Some("rs" | "html")) {
                    continue;
                }
                let text = std::fs::read_to_string(&file).expect("readable");
                let text = text.split("#[cfg(test)]\nmod tests").next().expect("a first part");
                for opening in ["say(\"", "say_with(\"", "Text(\""] {
                    for rest in text.split(opening).skip(1) {
                        let mut quoted = rest.split('"');
                        let id = quoted.next().expect("an id").to_owned();
                        let variables: &mut BTreeSet<String> = found.entry(id).or_default();
                        if opening.starts_with("say_with") {
                            variables.insert(quoted.nth(1).expect("a variable").to_owned());
                        }
                    }
                }
            }
        }
        found
    }

    #[test]
    fn code_and_templates_use_exactly_the_messages_and_variables_there_are() {
        assert_eq!(uses(), messages(Language::En));
    }
}
