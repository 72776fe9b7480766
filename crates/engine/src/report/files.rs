//! Writing a report to a folder: whole or not at all, requests as they leave or at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sglsim_units::{RequestId, Seconds, SimTime, WorkerId};

use super::Report;
use crate::metrics::RequestRecord;
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

/// Files of `report.json`, `requests.csv` and `scenario.ron` in the making. They appear all together at the
/// end, or not at all; those of the same names are replaced then.
///
/// ```
/// # use sglsim_engine::{ReportFolder, Scenario, Simulation};
/// # let scenario = Scenario::from_ron(r#"(
/// #     model: "Llama-3.1-8B",
/// #     hardware: (gpu: "H100-SXM"),
/// #     deployment: Aggregated(),
/// #     workload: Synthetic(arrivals: Burst, input_len: Fixed(9), output_len: Fixed(2), requests: 3),
/// # )"#)?;
/// # let out = tempfile::tempdir()?;
/// let folder = ReportFolder::create(out.path())?;
/// let simulation = Simulation::new(scenario.clone())?.on_record(folder.records()?);
/// let report = simulation.run()?;
/// folder.finish(&report, &scenario)?;
/// # assert_eq!(std::fs::read_to_string(out.path().join("requests.csv"))?.lines().count(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReportFolder {
    folder: PathBuf,
    requests: tempfile::NamedTempFile,
    /// What went wrong with it first.
    failure: Arc<Mutex<Option<io::Error>>>,
    /// After the file, which may be in them.
    made: Made,
}

/// Folders that were made for a report, the innermost first: gone again if it is never finished.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Made {
    fn folders(folder: &Path) -> io::Result<Self> {
        let missing = folder.ancestors().take_while(|place| !place.exists());
        let made = Self(missing.map(Path::to_owned).collect());
        std::fs::create_dir_all(folder)?;
        Ok(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // One that somebody else has put something into stays.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// The lines of `requests.csv` on their way to the file.
struct Lines {
    csv: csv::Writer<File>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Lines {
    fn check(&self, done: Result<(), csv::Error>) {
        if let Err(error) = done {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error.into());
        }
    }

    fn add(&mut self, id: RequestId, record: &RequestRecord) {
        let done = self.csv.write_record(cells(id, record));
        self.check(done);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let done = self.csv.flush();
        self.check(done.map_err(csv::Error::from));
    }
}

impl ReportFolder {
    /// A folder for the files, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if it cannot be written into.
    pub fn create(folder: &Path) -> Result<Self, WriteError> {
        let made = Made::folders(folder).map_err(at(folder))?;
        let requests = temporary_file(folder).map_err(at(&folder.join(REQUESTS)))?;
        Ok(Self { folder: folder.to_owned(), requests, failure: Arc::default(), made })
    }

    /// Writes records of requests to `requests.csv`, one line for each; times are in seconds since the start
    /// of the run. What goes wrong then is an error of [`ReportFolder::finish`]: the run goes on.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if the file cannot be written.
    pub fn records(
        &self,
    ) -> Result<impl FnMut(RequestId, &RequestRecord) + Send + use<>, WriteError> {
        let path = self.folder.join(REQUESTS);
        let file = self.requests.as_file().try_clone().map_err(at(&path))?;
        let mut csv = csv::Writer::from_writer(file);
        csv.write_record(COLUMNS).map_err(|error| at(&path)(error.into()))?;
        let mut lines = Lines { csv, failure: Arc::clone(&self.failure) };
        Ok(move |id, record: &RequestRecord| lines.add(id, record))
    }

    /// Writes the rest, after the run.
    ///
    /// # Errors
    ///
    /// [`WriteError`] naming what could not be written; then no file of the folder changes.
    pub fn finish(self, report: &Report, scenario: &Scenario) -> Result<(), WriteError> {
        let Self { folder, requests, failure, mut made } = self;
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = failure {
            return Err(at(&folder.join(REQUESTS))(error));
        }
        let mut written = vec![(requests, folder.join(REQUESTS))];
        let mut write = |name: &str, fill: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
            let path = folder.join(name);
            let done = (|| {
                let mut file = temporary_file(&folder)?;
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
            serde_json::to_writer_pretty(&mut *out, &report.to_json())?;
            writeln!(out)
        })?;
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
        made.0.clear();
        Ok(())
    }
}

impl Report {
    /// Writes `report.json`, `requests.csv` and `scenario.ron` into a folder, which is made if need
    /// be. Files of those names are replaced, all together: if one cannot be written, none changes.
    ///
    /// # Errors
    ///
    /// [`WriteError`] naming what could not be written.
    pub fn write_to(&self, folder: &Path, scenario: &Scenario) -> Result<(), WriteError> {
        let folder = ReportFolder::create(folder)?;
        let mut records = folder.records()?;
        for (id, record) in self.requests.iter().enumerate() {
            records(RequestId::from_index(id), record);
        }
        drop(records);
        folder.finish(self, scenario)
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |source| WriteError { path, source }
}

const REQUESTS: &str = "requests.csv";

const COLUMNS: [&str; 20] = [
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
];

fn cells(id: RequestId, record: &RequestRecord) -> [String; COLUMNS.len()] {
    let time = |at: Option<SimTime>| at.map(|at| at.seconds().to_string()).unwrap_or_default();
    let span = |s: Option<Seconds>| s.map(|s| s.get().to_string()).unwrap_or_default();
    let worker = |worker: Option<WorkerId>| worker.map(|w| w.0.to_string()).unwrap_or_default();
    [
        id.0.to_string(),
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
    ]
}
