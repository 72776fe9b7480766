//! Integration tests of `sglsim-router`.

mod cache_aware;
mod config;
mod conformance;
mod place;
mod pools;

use ron::extensions::Extensions;
use sglsim_router::PolicyConfig;

/// RON as scenario files are written.
fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES)
}

fn read(text: &str) -> Result<PolicyConfig, ron::error::SpannedError> {
    options().from_str(text)
}
