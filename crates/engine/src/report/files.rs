//! Writing a report to a folder: whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sglsim_units::{Seconds, SimTime};

use super::Report;
use crate::observer::Failure;
use crate::scenario::Scenario;

/// A report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub struct WriteError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl WriteError {
    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file that is gone unless it is persisted, with the permissions of any new file.
fn temporary_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666); // less the umask
    #[cfg(unix)]
    builder.permissions(permissions);
    builder.tempfile_in(folder)
}

impl Report {
    /// Writes `report.json`, `requests.csv` and `scenario.ron` into a folder, which is made if need
    /// be. Files of those names are replaced, all together: if one cannot be written, none changes.
    ///
    /// # Errors
    ///
    /// [`WriteError`] naming what could not be written.
    pub fn write_to(&self, folder: &Path, scenario: &Scenario) -> Result<(), WriteError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError { path, source }
        };
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        let mut written = Vec::new();
        let mut write = |name: &str, fill: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
            let path = folder.join(name);
            let done = (|| {
                let mut file = temporary_file(folder)?;
                let mut buffer = BufWriter::new(file.as_file_mut());
                fill(&mut buffer)?;
                buffer.flush()?;
                drop(buffer);
                Ok(file)
            })();
            written.push((done.map_err(at(&path))?, path));
            Ok(())
        };
        write("report.json", &|out| {
            serde_json::to_writer_pretty(&mut *out, &self.to_json())?;
            writeln!(out)
        })?;
        write("requests.csv", &|out| self.write_requests(out))?;
        write("scenario.ron", &|out| out.write_all(scenario.to_ron().as_bytes()))?;
        // A file cannot take the place of a folder; all else that could fail has been tried.
        for (_, path) in &written {
            if path.is_dir() {
                return Err(at(path)(io::ErrorKind::IsADirectory.into()));
            }
        }
        for (file, path) in written {
            file.persist(&path).map_err(|error| WriteError { path, source: error.error })?;
        }
        Ok(())
    }

    /// One line for each request, in order of arrival; times in seconds since the start of the run.
    fn write_requests(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record([
            "id",
            "arrival_s",
            "prompt_tokens",
            "cached_tokens",
            "host_cached_tokens",
            "output_tokens",
            "prefill_worker",
            "decode_worker",
            "queue_time_s",
            "prefilled_s",
            "transfer_time_s",
            "first_token_s",
            "finished_s",
            "ttft_s",
            "tpot_s",
            "e2e_latency_s",
            "retractions",
            "refused",
            "failed",
            "retries",
        ])?;
        let time = |at: Option<SimTime>| at.map(|at| at.seconds().to_string()).unwrap_or_default();
        let span = |s: Option<Seconds>| s.map(|s| s.get().to_string()).unwrap_or_default();
        let worker = |worker: Option<sglsim_units::WorkerId>| {
            worker.map(|worker| worker.0.to_string()).unwrap_or_default()
        };
        for (id, record) in self.requests.iter().enumerate() {
            csv.write_record([
                id.to_string(),
                record.arrival.seconds().to_string(),
                record.prompt_tokens.to_string(),
                record.cached_tokens.to_string(),
                record.host_cached_tokens.to_string(),
                record.output_tokens.to_string(),
                worker(record.prefill_worker),
                worker(record.decode_worker),
                span(record.queue_time()),
                time(record.prefilled),
                span(record.transfer_time()),
                time(record.first_token),
                time(record.finished),
                span(record.ttft()),
                span(record.tpot()),
                span(record.e2e()),
                record.retractions.to_string(),
                u8::from(record.refused).to_string(),
                record.failed.map(Failure::name).unwrap_or_default().to_owned(),
                record.retries.to_string(),
            ])?;
        }
        csv.flush()
    }
}
