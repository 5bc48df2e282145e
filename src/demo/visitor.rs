//! A customer's phone without a screen: loads pages, follows redirects and links, fills in forms. Runs no script.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Redirects that are followed one after another.
const REDIRECTS_MAX: usize = 8;
/// Largest page.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Longest wait for a page.
const PAGE_WAIT: Duration = Duration::from_secs(15);

/// What can go wrong on the way to a page.
pub type Failed = Box<dyn Error + Send + Sync>;

/// A phone with one page open.
#[derive(Debug)]
pub struct Visitor {
    client: Client<HttpConnector, Full<Bytes>>,
    language: String,
    /// What it was told to remember, by name.
    pub cookies: BTreeMap<String, String>,
    /// Where the open page came from.
    pub at: Uri,
    /// The status it came with.
    pub status: StatusCode,
    /// Its text.
    pub page: String,
}

impl Visitor {
    /// A phone that speaks `language` (as in `Accept-Language`) and has no page open.
    pub fn new(language: &str) -> Visitor {
        Visitor {
            client: Client::builder(TokioExecutor::new()).build_http(),
            cookies: BTreeMap::new(),
            language: language.to_owned(),
            at: Uri::default(),
            status: StatusCode::OK,
            page: String::new(),
        }
    }

    /// Opens an absolute address.
    pub async fn open(&mut self, address: &str) -> Result<(), Failed> {
        self.go(Method::GET, address.parse()?, String::new()).await
    }

    /// Follows a link of the open page.
    pub async fn follow(&mut self, link: &str) -> Result<(), Failed> {
        self.go(Method::GET, self.absolute(link)?, String::new()).await
    }

    /// Loads the open page again.
    pub async fn reload(&mut self) -> Result<(), Failed> {
        self.go(Method::GET, self.at.clone(), String::new()).await
    }

    /// Sends the form whose action ends with `action`, with `fields` besides its hidden ones.
    pub async fn send(&mut self, action: &str, fields: &[(&str, &str)]) -> Result<(), Failed> {
        let (target, body) = self.filled(action, fields)?;
        self.go(Method::POST, self.absolute(&target)?, body).await
    }

    /// What [`Visitor::send`] would send: where to, as the page says it, and the body.
    pub fn filled(&self, action: &str, fields: &[(&str, &str)]) -> Result<(String, String), Failed> {
        let form = self.form(action).ok_or_else(|| format!("the page at {} has no form {action}", self.at.path()))?;
        let filled = form.hidden.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain(fields.iter().copied());
        let body: Vec<String> = filled.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        Ok((form.action, body.join("&")))
    }

    /// Whether the page has a form whose action ends with `action`.
    pub fn has(&self, action: &str) -> bool {
        self.form(action).is_some()
    }

    /// The first link on the page whose address contains `part`.
    pub fn link(&self, part: &str) -> Option<String> {
        let links = self.page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        links.map(unescape).find(|link| link.contains(part))
    }

    /// Loads the page again until `wanted` holds, for at most `secs`.
    pub async fn until(&mut self, secs: u64, wanted: impl Fn(&Visitor) -> bool) -> Result<(), Failed> {
        let wait = async {
            while !wanted(self) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.reload().await?;
            }
            Ok(())
        };
        let waited = tokio::time::timeout(Duration::from_secs(secs), wait).await;
        waited.unwrap_or_else(|_| Err(format!("the phone waited {secs} s in vain").into()))
    }

    async fn go(&mut self, method: Method, to: Uri, body: String) -> Result<(), Failed> {
        let (mut method, mut to, mut body) = (method, to, body);
        for _ in 0..REDIRECTS_MAX {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let ask = || async {
                let request = Request::builder()
                    .method(method.clone())
                    .uri(&to)
                    .header(ACCEPT_LANGUAGE, &self.language)
                    .header(COOKIE, cookies.join("; "))
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(Full::from(body.clone()))?;
                Ok::<_, Failed>(tokio::time::timeout(PAGE_WAIT, self.client.request(request)).await?)
            };
            let answer = match ask().await? {
                // A connection that waited was closed in the moment it was used: browsers ask again on a new one.
                Err(error) if closed_unanswered(&error) => ask().await??,
                answered => answered?,
            };
            for cookie in answer.headers().get_all(SET_COOKIE) {
                if let Some((name, rest)) = cookie.to_str()?.split_once('=') {
                    let value = rest.split(';').next().unwrap_or_default();
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
            let location = answer.headers().get(LOCATION).map(|to| to.to_str().map(str::to_owned)).transpose()?;
            (self.at, self.status) = (to, answer.status());
            let text = Limited::new(answer.into_body(), PAGE_BYTES_MAX).collect().await?.to_bytes();
            self.page = String::from_utf8(text.to_vec())?;
            match location.filter(|_| self.status.is_redirection()) {
                None => return Ok(()),
                Some(location) => (method, to, body) = (Method::GET, self.absolute(&location)?, String::new()),
            }
        }
        Err("the page leads round in a circle".into())
    }

    fn absolute(&self, address: &str) -> Result<Uri, Failed> {
        if address.starts_with("http://") {
            return Ok(address.parse()?);
        }
        let host = self.at.authority().ok_or("no page is open")?;
        Ok(format!("http://{host}{address}").parse()?)
    }

    fn form(&self, action: &str) -> Option<Form> {
        self.page.split("<form ").skip(1).filter_map(Form::read).find(|form| form.action.ends_with(action))
    }
}

fn closed_unanswered(error: &hyper_util::client::legacy::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    let torn = |cause: &hyper::Error| {
        let io = cause.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
    };
    cause.is_some_and(|cause| cause.is_incomplete_message() || cause.is_canceled() || torn(cause))
}

#[derive(Debug)]
struct Form {
    action: String,
    hidden: Vec<(String, String)>,
}

impl Form {
    fn read(text: &str) -> Option<Form> {
        let text = text.split("</form>").next()?;
        let value = |text: &str, name: &str| {
            let rest = text.split(&format!("{name}=\"")).nth(1)?;
            rest.split('"').next().map(unescape)
        };
        let action = value(text.split('>').next()?, "action")?;
        let inputs = text.split("<input type=\"hidden\" ").skip(1).filter_map(|input| {
            let input = input.split('>').next()?;
            Some((value(input, "name")?, value(input, "value")?))
        });
        Some(Form { action, hidden: inputs.collect() })
    }
}

fn unescape(text: &str) -> String {
    text.replace("&#38;", "&").replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", "\"")
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
