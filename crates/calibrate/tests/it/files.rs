//! Tables on disk for one test.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use sglsim_calibrate::{CalibrateError, Dataset, Mapping};
use sglsim_hw::{Gpu, Topology};
use sglsim_kernels::Coefficients;

/// A folder that goes when the test does.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file; gzipped if its name says so.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        if name.ends_with(".gz") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            fs::write(&path, encoder.finish().unwrap()).unwrap();
        } else {
            fs::write(&path, text).unwrap();
        }
        path
    }
}

/// Columns m, n, k and t_us.
pub(crate) fn gemm_mapping() -> Mapping {
    Mapping::from_ron(
        r#"(operator: "gemm", time: "t_us [us]", arguments: {"m": "m", "n": "n", "k": "k"})"#,
    )
    .unwrap()
}

/// What a table with these lines is read as.
pub(crate) fn read_gemms(text: &str) -> Result<Dataset, CalibrateError> {
    let folder = Folder::new();
    let path = folder.write("gemms.csv", text);
    let mut data = Dataset::new();
    data.add_mapped(path, &[gemm_mapping()])?;
    Ok(data)
}

pub(crate) fn h100() -> (Topology, Coefficients) {
    let topology = Topology::of(Gpu::preset("H100").unwrap()).unwrap();
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    (topology, theta)
}
