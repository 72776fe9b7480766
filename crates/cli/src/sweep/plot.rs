//! A sweep as a picture: along one axis as curves, otherwise as the Pareto front.

use super::show::{self, digits_of};
use super::{Objective, Outcome, Sweep};
use crate::number::number;

use crate::svg;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 30.0;
/// Height of a panel, and what is between two.
const PANEL: f64 = 132.0;
const GAP: f64 = 46.0;
/// Values that spread more than this are drawn on a logarithmic scale.
const WIDE: f64 = 30.0;

pub(super) fn svg(sweep: &Sweep) -> String {
    if let [axis] = sweep.axes.as_slice() { curves(sweep, axis) } else { front(sweep) }
}

fn title(body: &mut String, sweep: &Sweep, text: &str) {
    svg::text(body, (24.0, 34.0), "title", text);
    let mut under = match sweep.done().next() {
        Some(outcome) => format!("workload {}", outcome.report.workload),
        None => String::new(),
    };
    let slo = show::bounds(sweep);
    if !slo.is_empty() {
        under += &format!(" · SLO: {}", slo.join(", "));
    }
    svg::text(body, (24.0, 56.0), "small", &under);
}

fn model(sweep: &Sweep) -> &str {
    sweep.done().next().map_or("", |outcome| &outcome.report.model)
}

// --- along one axis -----------------------------------------------------------------------

/// One quantity of every point.
struct Curve {
    name: String,
    colour: &'static str,
    values: Vec<Option<f64>>,
}

struct Panel {
    title: String,
    curves: Vec<Curve>,
    /// Drawn across, such as a bound of the SLO.
    bound: Option<f64>,
    /// The least top of the scale.
    top: f64,
}

/// Where values are drawn.
struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
    top: f64,
}

impl Scale {
    fn of(panel: &Panel, top: f64) -> Self {
        let values = panel.curves.iter().flat_map(|curve| curve.values.iter().flatten());
        let values: Vec<f64> = values.copied().chain(panel.bound).collect();
        let high = values.iter().copied().fold(panel.top, f64::max);
        let low = values.iter().copied().filter(|x| *x > 0.0).fold(high, f64::min);
        if high > WIDE * low && panel.top == 0.0 {
            let (low, high) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
            return Self { low, high, is_log: true, top };
        }
        Self { low: 0.0, high: round_up(high), is_log: false, top }
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            value / self.high
        };
        self.top + PANEL * (1.0 - share)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let mut tick = self.low;
            let mut ticks = Vec::new();
            while tick <= self.high * 1.001 {
                ticks.push(tick);
                tick *= 10.0;
            }
            return ticks;
        }
        (0..=4).map(|i| self.high * f64::from(i) / 4.0).collect()
    }
}

/// The next of 1, 2, 4, 5, 8 times a power of ten.
fn round_up(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(x.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= x * 0.999);
    step.unwrap_or(10.0) * power
}

fn panels(sweep: &Sweep) -> Vec<Panel> {
    let curve = |name: &str, colour, of: &dyn Fn(&Outcome) -> Option<f64>| Curve {
        name: name.to_owned(),
        colour,
        values: sweep.outcomes.iter().map(|o| o.as_ref().ok().and_then(of)).collect(),
    };
    let slo = &sweep.aim.slo;
    let rate: Vec<Curve> = if slo.is_empty() {
        vec![curve("output token/s", svg::BLUE, &|o| Some(o.report.output_throughput()))]
    } else {
        vec![
            curve("all requests", svg::GREY, &|o| Some(o.report.request_throughput())),
            curve("goodput: those that keep the SLO", svg::BLUE, &|o| Some(o.goodput)),
        ]
    };
    let rate_title = if slo.is_empty() { "throughput" } else { "requests per second" };
    let mut usage = Vec::new();
    let pools: Vec<String> = sweep.done().next().map_or_else(Vec::new, |outcome| {
        outcome.report.pools.iter().map(|pool| pool.name.clone()).collect()
    });
    for name in pools {
        let of = |outcome: &Outcome, share: fn(&sglsim_engine::PoolReport) -> f64| {
            let pool = outcome.report.pools.iter().find(|pool| pool.name == name)?;
            Some(share(pool) * 100.0)
        };
        if name != "decode" {
            let busy = |outcome: &Outcome| of(outcome, |pool| pool.busy_share);
            usage.push(curve(&format!("{name} workers busy"), svg::VERMILION, &busy));
        }
        if name != "prefill" {
            let used = |outcome: &Outcome| of(outcome, |pool| pool.kv_usage);
            usage.push(curve(&format!("{name} KV memory in use, mean"), svg::GREEN, &used));
        }
    }
    let panel = |title: &str, curves, bound: Option<sglsim_engine::Seconds>, scale: f64| Panel {
        title: title.to_owned(),
        curves,
        bound: bound.map(|limit| limit.get() * scale),
        top: 0.0,
    };
    vec![
        Panel { title: rate_title.to_owned(), curves: rate, bound: None, top: 1e-9 },
        panel(
            "TTFT [s]",
            vec![
                curve("p50", svg::BLUE, &|o| Some(o.report.ttft.p50)),
                curve("p99", svg::VERMILION, &|o| Some(o.report.ttft.p99)),
            ],
            slo.ttft,
            1.0,
        ),
        panel(
            "TPOT [ms]",
            vec![
                curve("p50", svg::BLUE, &|o| Some(o.report.tpot.p50 * 1e3)),
                curve("p99", svg::VERMILION, &|o| Some(o.report.tpot.p99 * 1e3)),
            ],
            slo.tpot,
            1e3,
        ),
        Panel { title: "in use [%]".to_owned(), curves: usage, bound: None, top: 100.0 },
    ]
}

fn curves(sweep: &Sweep, axis: &str) -> String {
    let mut body = String::new();
    title(&mut body, sweep, &format!("{} over {axis}", model(sweep)));
    let count = sweep.points.len();
    let step = (WIDTH - LEFT - RIGHT) / count as f64;
    let x = |at: usize| LEFT + step * (at as f64 + 0.5);
    let mut y = 96.0;
    let panels = panels(sweep);
    let bottom = y + panels.len() as f64 * (PANEL + GAP) - GAP;
    if let Some(best) = sweep.best {
        let at = (x(best) - step.min(60.0) / 2.0, y - 4.0);
        svg::rect(&mut body, at, (step.min(60.0), bottom - y + 8.0), "#f2f2f2");
    }
    for panel in &panels {
        draw(&mut body, panel, y, &x);
        y += PANEL + GAP;
    }
    y += 12.0 - GAP;
    // Labels of many points would run into each other.
    let every = (count as f64 * 46.0 / (WIDTH - LEFT - RIGHT)).ceil().max(1.0) as usize;
    let strip = y + 28.0;
    for (at, (point, outcome, is_best, _)) in sweep.rows().enumerate() {
        if at % every == 0 {
            let label = point.labels.join(", ");
            let class = if is_best { "head middle" } else { "middle" };
            svg::text(&mut body, (x(at), y + 8.0), class, &label);
        }
        let (colour, name) = match outcome {
            Ok(outcome) => limit(outcome),
            Err(_) => ("#222", "cannot be"),
        };
        svg::rect(&mut body, (x(at) - step / 2.0 + 1.0, strip), (step - 2.0, 18.0), colour);
        if step > 60.0 {
            svg::text(&mut body, (x(at), strip + 13.0), "tiny middle", name);
        }
    }
    svg::text(&mut body, (LEFT - 8.0, y + 8.0), "small end", short(axis));
    svg::text(&mut body, (LEFT - 8.0, strip + 13.0), "small end", "limit");
    let under = "limit: what most requests that miss the SLO lose their time at; without an SLO what \
                 requests wait for";
    svg::text(&mut body, (LEFT, strip + 38.0), "small", under);
    svg::page(WIDTH, strip + 54.0, &body)
}

/// As much of the name of an axis as fits beside it.
fn short(axis: &str) -> &str {
    axis.split(' ').next().filter(|word| word.len() <= 9).unwrap_or("")
}

fn limit(outcome: &Outcome) -> (&'static str, &'static str) {
    use sglsim_engine::Resource::*;
    match outcome.bottleneck.map(|found| found.resource) {
        Some(Prefill) => ("#f0b08a", Prefill.name()),
        Some(Transfer) => ("#e3bcd3", Transfer.name()),
        Some(KvMemory) => ("#8fd3bd", KvMemory.name()),
        Some(Decode) => ("#90bfe0", Decode.name()),
        Some(other) => ("#dddddd", other.name()),
        None => ("#eeeeee", "none"),
    }
}

fn draw(body: &mut String, panel: &Panel, top: f64, x: &dyn Fn(usize) -> f64) {
    let scale = Scale::of(panel, top);
    for tick in scale.ticks() {
        let y = scale.y(tick);
        svg::line(body, (LEFT, y), (WIDTH - RIGHT, y), r##"stroke="#e4e4e4""##);
        svg::text(body, (LEFT - 8.0, y + 4.0), "small end", &digits_of(tick));
    }
    svg::text(body, (LEFT, top - 10.0), "head", &panel.title);
    let mut legend = LEFT + 190.0;
    for curve in &panel.curves {
        svg::dot(body, (legend, top - 14.0), 4.0, curve.colour);
        svg::text(body, (legend + 9.0, top - 10.0), "small", &curve.name);
        legend += 30.0 + 6.2 * curve.name.chars().count() as f64;
    }
    if let Some(bound) = panel.bound {
        let y = scale.y(bound);
        let dashed = r##"stroke="#222" stroke-dasharray="5 4""##;
        svg::line(body, (LEFT, y), (WIDTH - RIGHT, y), dashed);
        svg::text(body, (legend, top - 10.0), "small", "- - SLO");
    }
    for curve in &panel.curves {
        let dots: Vec<(f64, f64)> = (curve.values.iter().enumerate())
            .filter_map(|(at, value)| Some((x(at), scale.y((*value)?))))
            .collect();
        let style = format!(r#"stroke="{}" stroke-width="2""#, curve.colour);
        svg::path(body, &dots, &style);
        for dot in dots {
            svg::dot(body, dot, 3.5, curve.colour);
        }
    }
}

// --- the Pareto front ---------------------------------------------------------------------

const SIDE: f64 = 470.0;

fn front(sweep: &Sweep) -> String {
    let mut body = String::new();
    let points = crate::number::counted(sweep.points.len() as u64, "point");
    title(&mut body, sweep, &format!("{}: {points} of {}", model(sweep), sweep.axes.join(" × ")));
    // What costs is drawn to the right, what is won upwards.
    let [a, b] = sweep.aim.front;
    let flip = a.is_cost() && !b.is_cost();
    let (up, right) = if flip { (b, a) } else { (a, b) };
    let at = |outcome: &Outcome| {
        let [a, b] = outcome.front?;
        Some(if flip { (a, b) } else { (b, a) })
    };
    let top = 92.0;
    let all: Vec<(f64, f64)> = sweep.done().filter_map(at).collect();
    let fold = |of: fn(&(f64, f64)) -> f64| {
        let values = all.iter().map(of);
        let high = values.clone().fold(0.0, f64::max);
        (values.filter(|x| *x > 0.0).fold(high, f64::min), high)
    };
    let (x_range, y_range) = (fold(|(x, _)| *x), fold(|(_, y)| *y));
    let wide = x_range.1 > WIDE * x_range.0 && x_range.0 > 0.0;
    let x_scale = |x: f64| {
        if wide {
            (x.max(x_range.0) / x_range.0).ln() / (x_range.1 / x_range.0).ln() * 0.96 + 0.02
        } else {
            x / round_up(x_range.1)
        }
    };
    let high = round_up(y_range.1);
    let place = |(x, y): (f64, f64)| {
        (LEFT + (WIDTH - LEFT - RIGHT) * x_scale(x), top + SIDE * (1.0 - y / high))
    };
    for i in 0..=4 {
        let value = high * f64::from(i) / 4.0;
        let y = place((0.0, value)).1;
        svg::line(&mut body, (LEFT, y), (WIDTH - RIGHT, y), r##"stroke="#e4e4e4""##);
        svg::text(&mut body, (LEFT - 8.0, y + 4.0), "small end", &digits_of(value));
    }
    let ticks: Vec<f64> = if wide {
        (-9..9)
            .flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(e)))
            .filter(|x| (x_range.0..=x_range.1).contains(x))
            .collect()
    } else {
        (0..=4).map(|i| round_up(x_range.1) * f64::from(i) / 4.0).collect()
    };
    for value in ticks {
        let x = place((value, 0.0)).0;
        svg::line(&mut body, (x, top), (x, top + SIDE), r##"stroke="#e4e4e4""##);
        svg::text(&mut body, (x, top + SIDE + 18.0), "small middle", &shown(right, value));
    }
    let name = |objective: Objective| {
        let unit = if objective.unit() == "s" { "ms" } else { objective.unit() };
        format!("{} [{unit}]", show::title(objective))
    };
    svg::text(&mut body, (LEFT, top - 10.0), "head", &name(up));
    svg::text(&mut body, (WIDTH - RIGHT, top + SIDE + 40.0), "head end", &name(right));

    let mut on_front: Vec<((f64, f64), String, bool)> = Vec::new();
    for (point, outcome, is_best, is_front) in sweep.rows() {
        let Some((outcome, spot)) =
            outcome.as_ref().ok().and_then(|outcome| Some((outcome, place(at(outcome)?))))
        else {
            continue;
        };
        let colour = if outcome.broken.is_some() { svg::GREY } else { svg::BLUE };
        svg::dot(&mut body, spot, 4.0, colour);
        if is_front || is_best {
            on_front.push((spot, point.labels.join(", "), is_best));
        }
    }
    on_front.sort_by(|a, b| a.0.0.total_cmp(&b.0.0).then(a.0.1.total_cmp(&b.0.1)));
    let line: Vec<(f64, f64)> = on_front.iter().map(|(spot, ..)| *spot).collect();
    svg::path(&mut body, &line, &format!(r#"stroke="{}" stroke-width="1.5""#, svg::ORANGE));
    let mut last = f64::NEG_INFINITY;
    for ((x, y), label, is_best) in on_front {
        svg::dot(&mut body, (x, y), 5.0, if is_best { svg::VERMILION } else { svg::ORANGE });
        // Labels that would lie on each other are left out, but for the best.
        let under = y + 16.0;
        if is_best || (under - last).abs() > 13.0 {
            let class = if x > WIDTH - 200.0 { "tiny end" } else { "tiny" };
            svg::text(&mut body, (x + 8.0, under), class, &label);
            last = under;
        }
    }
    let mut x = LEFT;
    for (colour, name) in [
        (svg::VERMILION, "best"),
        (svg::ORANGE, "Pareto front"),
        (svg::BLUE, "others"),
        (svg::GREY, "break a bound"),
    ] {
        svg::dot(&mut body, (x + 4.0, top + SIDE + 36.0), 4.0, colour);
        svg::text(&mut body, (x + 14.0, top + SIDE + 40.0), "small", name);
        x += 40.0 + 7.0 * name.len() as f64;
    }
    svg::page(WIDTH, top + SIDE + 60.0, &body)
}

fn shown(objective: Objective, value: f64) -> String {
    if objective.unit() == "s" { digits_of(value * 1e3) } else { number(value) }
}
