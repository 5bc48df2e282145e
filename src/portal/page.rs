//! What a page consists of, and the templates that write it as HTML. Does not know why a page looks as it does.

use super::assets::Assets;
use super::language::{Language, Voice};
use crate::shop::effect::SaleFacts;
use crate::shop::event::TillNumber;
use crate::shop::id::SaleId;
use crate::shop::money::Amount;
use askama::Template;

/// The page that a phone comes to first.
#[derive(Debug, Template)]
#[template(path = "portal/assets/start.html")]
pub(super) struct StartPage<'a> {
    pub(super) voice: Voice<'a>,
    pub(super) assets: &'a Assets,
    pub(super) shop: &'a str,
    pub(super) title: String,
    pub(super) terms: Vec<String>,
    /// The till that was scanned.
    pub(super) till: Option<TillNumber>,
    /// The language that was chosen rather than negotiated.
    pub(super) chosen: Option<Language>,
    pub(super) languages: &'a [Language],
    /// A visit has just ended.
    pub(super) ended: bool,
    /// Nobody can pay at present.
    pub(super) closed: bool,
    pub(super) form: String,
}

/// Every other page.
#[derive(Debug, Template)]
#[template(path = "portal/assets/page.html")]
pub(super) struct Page<'a> {
    pub(super) voice: Voice<'a>,
    pub(super) assets: &'a Assets,
    pub(super) shop: &'a str,
    pub(super) title: String,
    pub(super) tone: Tone,
    /// How far the customer is, of 4; 0: not on the way.
    pub(super) step: u8,
    pub(super) alerts: Vec<String>,
    pub(super) lines: Vec<String>,
    pub(super) card: Card,
    pub(super) seconds_left: Option<u64>,
    /// Whether the till's number is asked for.
    pub(super) enter: bool,
    /// What stands above the choices.
    pub(super) choose: Option<String>,
    pub(super) choices: Vec<Choice>,
    pub(super) links: Vec<PageLink>,
    pub(super) buttons: Vec<Button>,
    pub(super) foot: Option<String>,
    /// What the buttons are about.
    pub(super) facts: Option<SaleFacts>,
    /// The return that buttons and choices are about.
    pub(super) asked: Option<SaleId>,
    /// The address of the visit, ending in a slash.
    pub(super) path: String,
    pub(super) form: String,
    pub(super) refresh: Refresh,
    /// The version that the page shows, if it is to follow the visit.
    pub(super) live: Option<u64>,
}

impl<'a> Page<'a> {
    /// A page that says its title only.
    pub(super) fn titled(title: String, voice: Voice<'a>, assets: &'a Assets, shop: &'a str) -> Page<'a> {
        Page {
            voice,
            assets,
            shop,
            title,
            tone: Tone::Plain,
            step: 0,
            alerts: Vec::new(),
            lines: Vec::new(),
            card: Card::default(),
            seconds_left: None,
            enter: false,
            choose: None,
            choices: Vec::new(),
            links: Vec::new(),
            buttons: Vec::new(),
            foot: None,
            facts: None,
            asked: None,
            path: String::new(),
            form: String::new(),
            refresh: Refresh::Never,
            live: None,
        }
    }
}

/// What stands above the title.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tone {
    /// Nothing.
    Plain,
    /// Dots that say: something is under way.
    Busy,
    /// A tick.
    Good,
    /// An exclamation mark.
    Bad,
}

/// What the sale is about, as on a receipt.
#[derive(Debug, Default)]
pub(super) struct Card {
    pub(super) amount: Option<String>,
    pub(super) rows: Vec<Row>,
}

impl Card {
    fn is_empty(&self) -> bool {
        self.amount.is_none() && self.rows.is_empty()
    }
}

/// One line of the card.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) class: &'static str,
}

/// A payment that may be given back: a form of one button.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) rows: Vec<Row>,
    pub(super) sale: SaleId,
    /// What goes back if it is chosen.
    pub(super) back: Amount,
    pub(super) label: String,
}

/// A way on that is no form.
#[derive(Debug)]
pub(super) struct PageLink {
    pub(super) href: String,
    pub(super) label: String,
    pub(super) class: &'static str,
}

/// A form of one button.
#[derive(Debug)]
pub(super) struct Button {
    pub(super) act: &'static str,
    pub(super) label: String,
    pub(super) class: &'static str,
}

/// When the page loads again by itself.
#[derive(Debug)]
pub(super) enum Refresh {
    /// Never.
    Never,
    /// After so long where no script follows the visit.
    WithoutScript { secs: u64 },
    /// After so long, another address, in any case.
    To { secs: u64, url: String },
}
