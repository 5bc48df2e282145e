//! What this process may: gives away every right but that to change the network. Asks for none.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};
use std::io;

const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN;

/// Keeps `CAP_NET_ADMIN` and nothing else, for this process and what it starts. Must be called before any thread is begun.
/// Fails if that right is not there, or if another one stays.
pub(super) fn drop_all_but_one() -> io::Result<()> {
    let have = capabilities(None)?;
    if !have.permitted.contains(KEPT) {
        let what = "CAP_NET_ADMIN is missing: start it by its unit, or as root";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    for one in CapabilitySet::all().iter().filter(|one| *one != KEPT) {
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
    set_capabilities(None, CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: KEPT })?;
    let left = capabilities(None)?;
    if left.permitted != KEPT || left.effective != KEPT {
        return Err(io::Error::other("more rights stay than CAP_NET_ADMIN"));
    }
    Ok(())
}
