//! What this process may: gives away every right but one. Asks for none.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};
use std::io;

/// The one right that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// `CAP_NET_ADMIN`: to change the firewall.
    NetAdmin,
    /// `CAP_NET_RAW`: to send what is neither TCP nor UDP.
    NetRaw,
}

impl Kept {
    fn set(self) -> CapabilitySet {
        match self {
            Kept::NetAdmin => CapabilitySet::NET_ADMIN,
            Kept::NetRaw => CapabilitySet::NET_RAW,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kept::NetAdmin => "CAP_NET_ADMIN",
            Kept::NetRaw => "CAP_NET_RAW",
        }
    }
}

/// Keeps this right and nothing else, for this process and what it starts. Must be called before any thread is begun.
/// Fails if that right is not there, or if another one stays.
pub(super) fn drop_all_but(one: Kept) -> io::Result<()> {
    let (kept, name) = (one.set(), one.name());
    let have = capabilities(None)?;
    if !have.permitted.contains(kept) {
        let what = format!("{name} is missing: start it by its unit, or as root");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    for one in CapabilitySet::all().iter().filter(|one| *one != kept) {
        // What a newer kernel has and this one does not is not there to be taken.
        match capability_is_in_bounding_set(one) {
            Ok(true) => match remove_capability_from_bounding_set(one) {
                // Only who may set rights may; then what is started has no more than we have, for it gains none.
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            },
            Ok(false) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    set_no_new_privs(true)?;
    let wanted = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    // Where its unit has seen to all, that may forbid even to ask.
    if capabilities(None)? != wanted {
        set_capabilities(None, wanted)?;
    }
    let left = capabilities(None)?;
    if left.permitted != kept || left.effective != kept {
        return Err(io::Error::other(format!("more rights stay than {name}")));
    }
    Ok(())
}
