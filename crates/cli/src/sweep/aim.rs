//! What is wanted: an objective, bounds that a point must keep, and which points are worth a look.

use sglsim_engine::{Report, Seconds, Slo};
use sglsim_formula::Metric;
use sglsim_units::nearest;

use super::point::Outcome;

/// A number that points are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objective {
    /// Requests per second that keep the bounds.
    Goodput,
    GoodputPerGpu,
    /// GPUs of the deployment; fewer are better.
    Gpus,
    /// Any metric of a run.
    Metric(Metric),
}

/// One of the bounds of `--slo`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    Ttft(Seconds),
    Tpot(Seconds),
    E2e(Seconds),
    /// A latency of the run.
    Run(Metric, Seconds),
}

/// What is asked of a point.
#[derive(Clone, Debug)]
pub(super) struct Aim {
    pub(super) objective: Objective,
    pub(super) slo: Slo,
    pub(super) bounds: Vec<(Metric, Seconds)>,
    /// Share of the requests that must keep `slo`.
    pub(super) attain: f64,
    pub(super) front: [Objective; 2],
}

impl Objective {
    const OURS: [(Self, &'static str, &'static str); 3] = [
        (Self::Goodput, "goodput", "1/s"),
        (Self::GoodputPerGpu, "goodput_per_gpu", "1/s/GPU"),
        (Self::Gpus, "gpus", "GPU"),
    ];

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some((objective, ..)) = Self::OURS.iter().find(|(_, name, _)| *name == text) {
            return Ok(*objective);
        }
        let of_runs = Metric::all().filter(|metric| metric.is_of_run());
        let mut names: Vec<&str> = Self::OURS.iter().map(|(_, name, _)| *name).collect();
        for metric in of_runs {
            if metric.name() == text {
                return Ok(Self::Metric(metric));
            }
            names.push(metric.name());
        }
        Err(match nearest(text, names.iter().copied()) {
            Some(name) => format!("a run has no such metric; did you mean `{name}`?"),
            None => format!("a run has no such metric; it has {}", names.join(", ")),
        })
    }

    pub(super) fn name(self) -> &'static str {
        let ours = Self::OURS.iter().find(|(objective, ..)| *objective == self);
        match self {
            Self::Metric(metric) => metric.name(),
            _ => ours.map_or("", |(_, name, _)| name),
        }
    }

    pub(super) fn unit(self) -> &'static str {
        let ours = Self::OURS.iter().find(|(objective, ..)| *objective == self);
        match self {
            Self::Metric(metric) => metric.unit(),
            _ => ours.map_or("", |(.., unit)| unit),
        }
    }

    /// Whether less of it is better.
    pub(super) fn is_cost(self) -> bool {
        self == Self::Gpus || self.unit() == "s"
    }

    pub(super) fn of(self, report: &Report, slo: &Slo) -> Option<f64> {
        let per_gpu = 1.0 / f64::from(report.gpus.max(1));
        match self {
            Self::Goodput => Some(report.goodput(slo)),
            Self::GoodputPerGpu => Some(report.goodput(slo) * per_gpu),
            Self::Gpus => Some(f64::from(report.gpus)),
            Self::Metric(metric) => metric.reported(report),
        }
    }

    /// Whether `a` is better than `b`.
    fn is_better(self, a: f64, b: f64) -> bool {
        if self.is_cost() { a < b } else { a > b }
    }
}

impl Bound {
    /// Reads `ttft=2s`, `tpot<=50ms` or `p99_ttft=5s`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const HOW: &str = "it is written as ttft=2s, tpot=50ms or p99_ttft=5s";
        let (name, limit) = text.split_once('=').ok_or(format!("it has no `=`; {HOW}"))?;
        let name = name.trim().trim_end_matches('<').trim_end();
        let limit = seconds(limit.trim())
            .ok_or_else(|| format!("`{}` is no time, such as 2s or 50ms; {HOW}", limit.trim()))?;
        match name {
            "ttft" => return Ok(Self::Ttft(limit)),
            "tpot" => return Ok(Self::Tpot(limit)),
            "e2e" | "e2e_latency" => return Ok(Self::E2e(limit)),
            _ => {}
        }
        let latencies =
            || Metric::all().filter(|metric| metric.is_of_run() && metric.unit() == "s");
        if let Some(metric) = latencies().find(|metric| metric.name() == name) {
            return Ok(Self::Run(metric, limit));
        }
        let names: Vec<&str> =
            ["ttft", "tpot", "e2e"].into_iter().chain(latencies().map(Metric::name)).collect();
        Err(match nearest(name, names.iter().copied()) {
            Some(near) => format!("there is no latency `{name}`; did you mean `{near}`?"),
            None => format!("there is no latency `{name}`; there are {}", names.join(", ")),
        })
    }
}

/// A time with its unit.
fn seconds(text: &str) -> Option<Seconds> {
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    Seconds::new(number.trim().parse::<f64>().ok()? * scale).ok()
}

impl Aim {
    pub(super) fn new(
        objective: Option<Objective>,
        bounds: &[Bound],
        attain: f64,
        front: Option<[Objective; 2]>,
    ) -> Self {
        let mut slo = Slo::default();
        let mut of_run = Vec::new();
        for bound in bounds {
            match *bound {
                Bound::Ttft(limit) => slo.ttft = Some(limit),
                Bound::Tpot(limit) => slo.tpot = Some(limit),
                Bound::E2e(limit) => slo.e2e = Some(limit),
                Bound::Run(metric, limit) => of_run.push((metric, limit)),
            }
        }
        let rate = if slo.is_empty() {
            Objective::Metric(Metric::OutputThroughputPerGpu)
        } else {
            Objective::Goodput
        };
        let objective = objective.unwrap_or(rate);
        let latency = Objective::Metric(Metric::Latency(
            sglsim_formula::Latency::E2e,
            sglsim_formula::Statistic::Mean,
        ));
        let front = front.unwrap_or(match objective {
            cost if cost.is_cost() => [rate, cost],
            rate => [rate, latency],
        });
        Self { objective, slo, bounds: of_run, attain, front }
    }

    /// The bound that a point does not keep, in words.
    pub(super) fn broken(&self, report: &Report) -> Option<String> {
        for (metric, limit) in &self.bounds {
            if metric.reported(report).is_none_or(|value| value > limit.get()) {
                return Some(format!("{metric} is above {limit}"));
            }
        }
        let share = report.attainment(&self.slo);
        (share < self.attain)
            .then(|| format!("less than {} keep the SLO", crate::number::percent(self.attain)))
    }

    /// The best of the points that keep every bound, the first of equals; `None` where none does.
    pub(super) fn best(&self, outcomes: &[Option<&Outcome>]) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (at, outcome) in outcomes.iter().enumerate() {
            let kept = outcome.filter(|outcome| outcome.broken.is_none());
            let Some(value) = kept.and_then(|outcome| outcome.value) else { continue };
            if best.is_none_or(|(_, found)| self.objective.is_better(value, found)) {
                best = Some((at, value));
            }
        }
        best.map(|(at, _)| at)
    }

    /// Whether each point is on the Pareto front: no other is as good in both and better in one.
    pub(super) fn front(&self, outcomes: &[Option<&Outcome>]) -> Vec<bool> {
        let beats = |a: [f64; 2], b: [f64; 2]| {
            let pairs = || self.front.iter().zip(a.into_iter().zip(b));
            pairs().all(|(objective, (a, b))| !objective.is_better(b, a))
                && pairs().any(|(objective, (a, b))| objective.is_better(a, b))
        };
        let values: Vec<Option<[f64; 2]>> =
            outcomes.iter().map(|outcome| outcome.and_then(|outcome| outcome.front)).collect();
        let is_on = |one: &[f64; 2]| !values.iter().flatten().any(|other| beats(*other, *one));
        values.iter().map(|one| one.as_ref().is_some_and(is_on)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_a_latency_and_a_time_with_its_unit() {
        let time = |seconds| Seconds::new(seconds).unwrap();
        assert_eq!(Bound::parse("ttft=2s"), Ok(Bound::Ttft(time(2.0))));
        assert_eq!(Bound::parse("tpot <= 50 ms"), Ok(Bound::Tpot(time(0.05))));
        let Ok(Bound::Run(metric, limit)) = Bound::parse("p99_ttft=1500ms") else { panic!() };
        assert_eq!((metric.name(), limit), ("p99_ttft", time(1.5)));
        for (text, why) in [
            ("ttft", "no `=`"),
            ("ttft=2", "`2` is no time"),
            ("ttft=-2s", "no time"),
            ("ttft=nans", "no time"),
            ("ttfd=2s", "did you mean `ttft`?"),
            ("p99_ttff=2s", "did you mean `p99_ttft`?"),
            ("output_throughput=2s", "there is no latency"),
        ] {
            let error = Bound::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn objectives_know_which_way_is_better() {
        let cost = |name| Objective::parse(name).map(Objective::is_cost);
        assert_eq!(cost("gpus"), Ok(true));
        assert_eq!(cost("p99_ttft"), Ok(true));
        assert_eq!(cost("goodput"), Ok(false));
        assert_eq!(cost("output_throughput"), Ok(false));
        assert!(cost("goodptu").unwrap_err().contains("did you mean `goodput`?"));
        assert!(cost("step_time").unwrap_err().contains("no such metric"));
    }
}
