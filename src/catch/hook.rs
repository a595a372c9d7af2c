//! The three hooks: what they share is that they never harm the service.
//!
//! A supervisor notices a hook's exit code: on Upstart, one other than 0 keeps the service down. So
//! a hook exits 0 whatever happens. Its complaints go to the system's log.

use std::ffi::{OsStr, OsString};

use crate::catch::call::HookArgs;
use crate::catch::guard::guarded;
use crate::catch::{post_stop, pre_start, pre_stop};
use crate::{limits, notice};

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    PreStart,
    PreStop,
    PostStop,
}

impl Hook {
    /// The hook that goes by this name.
    pub fn named(name: &OsStr) -> Option<Self> {
        match name.to_str()? {
            "pre-start" => Some(Self::PreStart),
            "pre-stop" => Some(Self::PreStop),
            "post-stop" => Some(Self::PostStop),
            _ => None,
        }
    }
}

/// Runs a hook. Returns in every case, and nothing that happens in it gets out.
pub fn run(hook: Hook, args: &[OsString]) {
    let (args, unknown) = HookArgs::parse(args);
    let host = args.places.host();
    if !unknown.is_empty() {
        notice::say(
            &host,
            &format!("{hook:?}: took no notice of these arguments: {unknown:?}"),
        );
    }
    guarded(&format!("{hook:?}"), &host, || match hook {
        Hook::PreStart => limits::lift()
            .map_err(Into::into)
            .and_then(|()| pre_start::run(&args, &host)),
        Hook::PreStop => limits::lift()
            .map_err(Into::into)
            .and_then(|()| pre_stop::run(&args, &host)),
        Hook::PostStop => post_stop::run(&args, &host),
    });
}
