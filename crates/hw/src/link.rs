//! What connects GPUs.

use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sglsim_units::{Bytes, BytesPerSec, Seconds};

use crate::HwError;
use crate::presets::{self, Described};

static PRESETS: LazyLock<Vec<Link>> = LazyLock::new(|| {
    presets::parse(include_str!("../presets/links.ron")).expect("the embedded presets are tested")
});

/// A link of one GPU to its peers.
///
/// ```
/// use sglsim_hw::Link;
/// use sglsim_units::Bytes;
///
/// let nic = Link::preset("ib ndr")?;
/// assert_eq!(nic.bandwidth.get(), 50e9); // 400 Gb/s
/// assert!(nic.transfer_time(Bytes::new(50e9)?).get() > 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Link {
    /// Name, such as `"NVLink4"`.
    pub name: String,
    /// Other spellings it is known by; case and punctuation never matter.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Raw bandwidth in each direction, per GPU, over all of its lanes together \[B/s\].
    pub bandwidth: BytesPerSec,
    /// Time until the first byte of a message is there \[s\].
    pub latency: Seconds,
    /// Where the figures come from.
    pub source: String,
}

impl Link {
    /// The preset called `name`.
    ///
    /// # Errors
    ///
    /// [`HwError::UnknownPreset`], with the nearest name and all of them.
    pub fn preset(name: &str) -> Result<Self, HwError> {
        presets::find(&PRESETS, name).cloned()
    }

    /// The names of all presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|link| link.name.as_str())
    }

    /// Reads a link from RON text.
    ///
    /// # Errors
    ///
    /// [`HwError::Syntax`] with line, column and field; an unknown field is refused.
    pub fn from_ron(text: &str) -> Result<Self, HwError> {
        presets::from_ron(text)
    }

    /// Reads a link from a RON file.
    ///
    /// # Errors
    ///
    /// [`HwError::File`] around what [`Link::from_ron`] reports, or around the failure to read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, HwError> {
        presets::from_file(path.as_ref())
    }

    /// Time of one message over the idle link: `latency + bytes / bandwidth` \[s\].
    #[must_use]
    pub fn transfer_time(&self, bytes: Bytes) -> Seconds {
        self.latency + bytes / self.bandwidth
    }
}

impl Described for Link {
    const KIND: &'static str = "link";

    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn check(&self) -> Result<(), HwError> {
        Ok(()) // The types of the fields allow nothing that cannot be.
    }
}
