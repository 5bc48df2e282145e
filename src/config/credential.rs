//! Files that the service manager gives to the service, named `credential:NAME`. Reads none of them.

use super::absolute;
use super::reader::{At, Reader};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a file begins with that is a credential.
pub const MARK: &str = "credential:";
/// Where systemd says to a service that they are.
const VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// Where they are while our service runs; an administrator can look there, too.
const OF_SERVICE: &str = "/run/credentials/tillgate.service";

/// The file that a text names: a whole path, or a credential.
pub(super) fn file(reader: &mut Reader<'_>, text: &At<&str>) -> Option<At<PathBuf>> {
    let span = text.span.clone();
    let Some(name) = text.value.strip_prefix(MARK) else {
        return absolute(reader, text).map(|value| At { value, span });
    };
    if name.is_empty()
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        || name.starts_with('.')
    {
        let what = format!("\"{name}\" cannot be the name of a credential");
        reader.fault(&span, what, "write letters, digits, -, _ and . only, such as \"credential:platform.key\"");
        return None;
    }
    let given = std::env::var_os(VARIABLE);
    let inside = given.is_some();
    let value = PathBuf::from(given.unwrap_or_else(|| OsString::from(OF_SERVICE))).join(name);
    if !value.exists() {
        if inside {
            let what = format!("the service was given no credential \"{name}\"");
            let fix = format!(
                "put it at /etc/credstore/tillgate.{name}, for root only, if it is platform.key or portal.key; \
                               else `systemctl edit tillgate`: [Service], LoadCredential={name}:/where/it/is"
            );
            reader.fault(&span, what, fix);
            return None;
        }
        let what = format!("the credential \"{name}\" cannot be looked at from here: only the service is given it");
        reader.warn(&span, what, "while the service runs, `sudo tillgate check` looks at it, too");
    }
    Some(At { value, span })
}

/// Whether it is a credential: whose it is, systemd sees to.
pub fn is_credential(file: &Path) -> bool {
    file.starts_with(OF_SERVICE)
}

/// Whether it is a credential that only the service sees.
pub fn is_elsewhere(file: &Path) -> bool {
    is_credential(file) && !file.exists()
}
