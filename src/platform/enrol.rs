//! How a box gets its certificate and renews it (`docs/counter-payment-protocol.md`, section 13): the steps, each of which
//! may be the last before a power cut. Reads no command line and waits for no time.

use super::channel::{Channel, ChannelError, SendError, is_other_key, tls_error};
use super::code::Code;
use super::counter::{parse, problem_code};
use super::identity::{Draft, Folder, FolderError, Given, Identity, Locked, Which, named};
use super::life::Nearness;
use crate::shop::time::Wall;
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Longest answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

type Cause = Box<dyn Error + Send + Sync>;

/// Why the box has no new identity. The one in use is as it was.
#[derive(Debug)]
pub enum EnrolError {
    /// The machine's clock is not set: whether a certificate counts cannot be said.
    ClockNotSet,
    /// By the machine's clock the new certificate does not count now.
    ClockWrong {
        /// From when it counts.
        from: Wall,
        /// Until when.
        until: Wall,
    },
    /// The box was enrolled at another address meanwhile, and the daemon does not know it yet.
    Elsewhere,
    /// The files of the identity.
    Folder(FolderError),
    /// The address is not usable.
    Url(ChannelError),
    /// Whoever answers there has another key than the code says.
    OtherKey,
    /// Nobody answers there.
    NotReached(Cause),
    /// No answer: it may have been done.
    NoAnswer(Cause),
    /// The platform says no.
    Refused(Refusal),
    /// The platform says that something failed on its side, or says what the protocol does not have: its status and code.
    Failed(u16, Option<String>),
    /// The answer is not what the protocol says.
    BadAnswer(Cause),
    /// The platform does not know the new certificate, or is not whom it said it would be.
    NotProven(Cause),
    /// The system gives no random numbers.
    NoKey(rcgen::Error),
}

/// Why the platform says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such code.
    CodeUnknown,
    /// Another box, or another try of this one, has used it up.
    CodeUsed,
    /// It was not used in time.
    CodeExpired,
    /// Too many wrong codes in the last minute.
    TooManyTries,
    /// The platform takes no payments for this shop.
    Blocked,
    /// It does not like our request: one side has a defect.
    BadRequest,
    /// There is no such call at this address.
    NotHere,
}

/// What a person can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same again, later: nothing is lost.
    Again,
    /// Ask the platform: another code, or its help.
    Ask,
    /// Mend something on this machine, or the command line.
    Mend,
}

impl EnrolError {
    /// What a person can do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            EnrolError::NotReached(_) | EnrolError::NoAnswer(_) | EnrolError::Failed(..) => Remedy::Again,
            EnrolError::Refused(Refusal::TooManyTries) => Remedy::Again,
            EnrolError::Refused(
                Refusal::CodeUnknown
                | Refusal::CodeUsed
                | Refusal::CodeExpired
                | Refusal::Blocked
                | Refusal::BadRequest
                | Refusal::NotHere,
            ) => Remedy::Ask,
            EnrolError::OtherKey | EnrolError::BadAnswer(_) | EnrolError::NotProven(_) => Remedy::Ask,
            EnrolError::Folder(FolderError::Busy(_)) => Remedy::Again,
            EnrolError::Folder(_)
            | EnrolError::Url(_)
            | EnrolError::NoKey(_)
            | EnrolError::Elsewhere
            | EnrolError::ClockNotSet
            | EnrolError::ClockWrong { .. } => Remedy::Mend,
        }
    }
}

impl EnrolError {
    /// What failed. What to do about it is for whoever sits at the command line, and not for the journal.
    pub fn reason(&self) -> String {
        match self {
            EnrolError::ClockNotSet => "this machine's clock is not set: no certificate can be judged".to_owned(),
            EnrolError::ClockWrong { from, until } => format!(
                "the new certificate counts from {} to {}, and this machine's clock says otherwise",
                date(*from),
                date(*until)
            ),
            EnrolError::Elsewhere => {
                "this box has been enrolled at another address since the daemon started".to_owned()
            }
            EnrolError::Folder(error) => error.to_string(),
            EnrolError::Url(error) => error.to_string(),
            EnrolError::OtherKey => "whoever answers there has another key than it should".to_owned(),
            EnrolError::NotReached(why) => format!("the platform cannot be reached: {}", root(why)),
            EnrolError::NoAnswer(why) => format!("the platform has not answered: {}", root(why)),
            EnrolError::Refused(refusal) => refusal.to_string(),
            EnrolError::Failed(status, code) => {
                let code = code.as_deref().unwrap_or("no reason");
                format!("the platform cannot do it now (status {status}, {code})")
            }
            EnrolError::BadAnswer(why) => format!("what the platform answered cannot be used: {why}"),
            EnrolError::NotProven(why) => {
                format!("the platform does not take the certificate it gave: {}", root(why))
            }
            EnrolError::NoKey(why) => format!("no key can be made: {why}"),
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            EnrolError::ClockNotSet => {
                "set it (`timedatectl`; a time server must be in reach) and run this again. Nothing was sent"
            }
            EnrolError::ClockWrong { .. } => "set it (`timedatectl`) and run this again with the same code",
            EnrolError::Elsewhere => "restart it to go there",
            EnrolError::OtherKey => {
                "the address is wrong, the code is of another platform, or somebody stands between: compare both with \
                 what the platform shows. The code was not sent"
            }
            EnrolError::NotReached(_) => "look at address and network, and run this again",
            EnrolError::NoAnswer(_) => "run this again with the same code: nothing is lost",
            EnrolError::Failed(..) => "run this again later with the same code",
            EnrolError::BadAnswer(_) => "nothing was changed. Tell the platform, and run this again with the same code",
            EnrolError::NotProven(_) => {
                "nothing was changed. Run this again with the same code; if it stays so, ask the platform"
            }
            EnrolError::NoKey(_) => "the system must have random numbers",
            // Theirs say what to do.
            EnrolError::Folder(_) | EnrolError::Url(_) | EnrolError::Refused(_) => "",
        }
    }
}

impl fmt::Display for EnrolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())?;
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::CodeUnknown => "the platform does not know this code; ask it for a new one",
            Refusal::CodeUsed => "this code was used already, and counts only once; ask the platform for a new one",
            Refusal::CodeExpired => "this code's time is over; ask the platform for a new one",
            Refusal::TooManyTries => "too many wrong codes came to the platform; wait a minute and run this again",
            Refusal::Blocked => "the platform takes no payments for this shop; ask it why",
            Refusal::BadRequest => "the platform does not take what this program asks; is one of both out of date?",
            Refusal::NotHere => {
                "this is not the platform's address for enrolling; compare it with what the platform shows"
            }
        })
    }
}

impl Error for EnrolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            EnrolError::Folder(error) => Some(error),
            EnrolError::Url(error) => Some(error),
            EnrolError::NoKey(error) => Some(error),
            EnrolError::NotReached(why)
            | EnrolError::NoAnswer(why)
            | EnrolError::BadAnswer(why)
            | EnrolError::NotProven(why) => Some(why.as_ref()),
            EnrolError::ClockNotSet
            | EnrolError::ClockWrong { .. }
            | EnrolError::Elsewhere
            | EnrolError::OtherKey
            | EnrolError::Refused(_)
            | EnrolError::Failed(..) => None,
        }
    }
}

impl From<FolderError> for EnrolError {
    fn from(error: FolderError) -> EnrolError {
        EnrolError::Folder(error)
    }
}

/// What lies at the bottom of it: the words above say nothing that people need.
fn root(why: &Cause) -> String {
    if let Some(error) = tls_error(why.as_ref()) {
        return error.to_string();
    }
    let mut deepest: &(dyn Error + 'static) = why.as_ref();
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}

/// A day in UTC, for people.
pub fn date(at: Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|t| t.strftime("%F %H:%M UTC").to_string()).unwrap_or_default()
}

#[derive(Serialize)]
struct EnrolWire<'a> {
    secret: &'a str,
    csr: &'a str,
}

#[derive(Serialize)]
struct RenewWire<'a> {
    csr: &'a str,
}

#[derive(Deserialize)]
struct EnrolledWire {
    url: String,
    certificate: String,
    ca: String,
    pins: Vec<String>,
}

/// Makes this box known to the platform at `url` by a code. A repeat with the same address and code goes on where the last
/// one ended, however it ended. `now`: the time, if the machine's clock is believed.
pub async fn enrol(folder: &Folder, url: &str, code: &Code, now: Option<Wall>) -> Result<Identity, EnrolError> {
    let Some(now) = now else { return Err(EnrolError::ClockNotSet) };
    let url = url.trim_end_matches('/');
    let first = Channel::first(url, code.fingerprint()).map_err(EnrolError::Url)?;
    let with = named(&format!("{url} {}", code.whole()));
    let locked = folder.lock()?;
    // A damaged one is no reason to have none.
    if let Ok(Some(identity)) = folder.identity()
        && identity.draft().after == with
    {
        // The last run may have ended between the change and its sync.
        locked.sync()?;
        return Ok(identity);
    }
    let mut draft = match locked.draft(Which::Enrolling)?.filter(|draft| draft.after == with) {
        Some(draft) => draft,
        None => fresh(&locked, Which::Enrolling, url, &with)?,
    };
    let asked = match &draft.answer {
        Some(given) => Ok((draft.url.clone(), given.clone())),
        None => ask_first(&first, code, &draft).await,
    };
    // In every other case the platform may have used the code up for this key.
    if let Err(EnrolError::Refused(Refusal::CodeUnknown | Refusal::CodeUsed | Refusal::CodeExpired)) = asked {
        locked.drop(Which::Enrolling)?;
    }
    let (url, given) = asked?;
    draft.url = url;
    let identity = receive(&locked, Which::Enrolling, &draft, &given, now)?;
    prove(identity.url(), &identity).await?;
    locked.take(Which::Enrolling)?;
    locked.drop(Which::Renewing)?;
    Ok(identity)
}

/// Gets a new certificate for a new key, over the channel that the present one has opened. `Ok` once the platform has
/// answered a call with it, and it has taken the old one's place on disk; or if a newer one was there already.
pub async fn renew(
    folder: &Folder,
    present: &Identity,
    channel: &Channel,
    now: Option<Wall>,
) -> Result<Identity, EnrolError> {
    let Some(now) = now else { return Err(EnrolError::ClockNotSet) };
    let locked = folder.lock()?;
    let with = present.name();
    // Somebody may have enrolled this box anew and not told the daemon: that must not be written over.
    if let Ok(Some(found)) = folder.identity()
        && found.name() != with
    {
        return if found.url() == present.url() { Ok(found) } else { Err(EnrolError::Elsewhere) };
    }
    let draft = match locked.draft(Which::Renewing)?.filter(|draft| draft.after == with) {
        Some(draft) => draft,
        None => fresh(&locked, Which::Renewing, present.url(), &with)?,
    };
    let given = match &draft.answer {
        Some(given) => given.clone(),
        None => ask_again(channel, &draft).await?,
    };
    let identity = match receive(&locked, Which::Renewing, &draft, &given, now) {
        Err(error @ EnrolError::ClockWrong { .. }) => {
            locked.drop(Which::Renewing)?;
            return Err(error);
        }
        other => other?,
    };
    // The configuration may say that the platform has moved.
    if let Err(error) = prove(&channel.url(), &identity).await {
        // If the platform answers the old one and not the new one, the next try needs another.
        if is_answered(channel).await {
            locked.drop(Which::Renewing)?;
        }
        return Err(error);
    }
    locked.take(Which::Renewing)?;
    Ok(identity)
}

/// A new key, on disk before anybody hears of it.
fn fresh(locked: &Locked, which: Which, url: &str, after: &str) -> Result<Draft, EnrolError> {
    let draft = Draft::new(url, after).map_err(EnrolError::NoKey)?;
    locked.write(which, &draft)?;
    Ok(draft)
}

async fn ask_first(channel: &Channel, code: &Code, draft: &Draft) -> Result<(String, Given), EnrolError> {
    let body = serde_json::to_vec(&EnrolWire { secret: code.secret(), csr: &draft.request }).unwrap_or_default();
    let EnrolledWire { url, certificate, ca, pins } = post(channel, "/v1/enrolments", body).await?;
    Ok((url.trim_end_matches('/').to_owned(), Given { certificate, ca, pins }))
}

async fn ask_again(channel: &Channel, draft: &Draft) -> Result<Given, EnrolError> {
    let body = serde_json::to_vec(&RenewWire { csr: &draft.request }).unwrap_or_default();
    post(channel, "/v1/renewals", body).await
}

async fn post<T: serde::de::DeserializeOwned>(channel: &Channel, path: &str, body: Vec<u8>) -> Result<T, EnrolError> {
    let sent = channel.call(Method::POST, path, Some(body), Duration::ZERO, ANSWER_BYTES_MAX).await;
    let answer = sent.map_err(|error| match error {
        SendError::NotSent(why) if is_other_key(why.as_ref()) => EnrolError::OtherKey,
        SendError::NotSent(why) | SendError::Unknown(why) if wants_certificate(why.as_ref()) => {
            EnrolError::Refused(Refusal::NotHere)
        }
        SendError::NotSent(why) => EnrolError::NotReached(why),
        SendError::Unknown(why) => EnrolError::NoAnswer(why),
    })?;
    match (answer.status, problem_code(&answer).as_deref()) {
        (200 | 201, _) => parse(&answer).map_err(|_| EnrolError::BadAnswer("it breaks the protocol".into())),
        (403, Some("code_unknown")) => Err(EnrolError::Refused(Refusal::CodeUnknown)),
        (403, Some("merchant_blocked")) => Err(EnrolError::Refused(Refusal::Blocked)),
        (409, Some("code_used")) => Err(EnrolError::Refused(Refusal::CodeUsed)),
        (410, Some("code_expired")) => Err(EnrolError::Refused(Refusal::CodeExpired)),
        (429, Some("too_many_tries")) => Err(EnrolError::Refused(Refusal::TooManyTries)),
        (404 | 405, _) => Err(EnrolError::Refused(Refusal::NotHere)),
        (400 | 422, Some(_)) => Err(EnrolError::Refused(Refusal::BadRequest)),
        (status, code) => Err(EnrolError::Failed(status, code.map(str::to_owned))),
    }
}

/// Whether the line is one for boxes that have a certificate, and we have shown none.
fn wants_certificate(why: &(dyn Error + 'static)) -> bool {
    matches!(tls_error(why), Some(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)))
}

/// Looks at an answer; if it is right, it is on disk when this returns.
fn receive(locked: &Locked, which: Which, draft: &Draft, given: &Given, now: Wall) -> Result<Identity, EnrolError> {
    let identity = draft.with(given, Path::new("the platform's answer")).map_err(|error| {
        EnrolError::BadAnswer(match error {
            ChannelError::NotAPair { .. } => "its certificate is for another key than this box's".into(),
            ChannelError::NoPin => "it has no pin, or one that is none".into(),
            other @ (ChannelError::BadUrl(_) | ChannelError::BadFile { .. } | ChannelError::Refused(_)) => other.into(),
        })
    })?;
    Channel::with(identity.url(), identity.credentials()).map_err(|error| EnrolError::BadAnswer(error.into()))?;
    if draft.answer.is_none() {
        locked.write(which, identity.draft())?;
    }
    let life = identity.life();
    if now < life.from || life.nearness(now) == Nearness::Over {
        return Err(EnrolError::ClockWrong { from: life.from, until: life.until });
    }
    Ok(identity)
}

/// Calls the platform at `url` with a new identity: it must answer.
async fn prove(url: &str, identity: &Identity) -> Result<(), EnrolError> {
    let channel = Channel::with(url, identity.credentials()).map_err(EnrolError::Url)?;
    match look(&channel).await {
        Ok(200) => Ok(()),
        Ok(status) => Err(EnrolError::NotProven(format!("it answers {status}").into())),
        Err(SendError::NotSent(why) | SendError::Unknown(why)) if tls_error(why.as_ref()).is_some() => {
            Err(EnrolError::NotProven(why))
        }
        Err(SendError::NotSent(why)) => Err(EnrolError::NotReached(why)),
        Err(SendError::Unknown(why)) => Err(EnrolError::NoAnswer(why)),
    }
}

async fn is_answered(channel: &Channel) -> bool {
    look(channel).await.is_ok_and(|status| status == 200)
}

async fn look(channel: &Channel) -> Result<u16, SendError> {
    let answer = channel.call(Method::GET, "/v1/platform", None, Duration::ZERO, ANSWER_BYTES_MAX).await?;
    Ok(answer.status)
}
