//! Predicted against simulated, as one SVG file that needs nothing else.

use std::fmt::Write;

use crate::score::{Kind, Score};

/// Side of a panel, and the margin around it.
const SIDE: f64 = 340.0;
const MARGIN: f64 = 70.0;

/// A panel for each kind.
pub(crate) fn svg(scores: &[Score]) -> String {
    let mut body = String::new();
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let left = MARGIN + (place % 2) as f64 * (SIDE + MARGIN);
        let top = MARGIN + (place / 2) as f64 * (SIDE + MARGIN);
        panel(&mut body, (left, top), kind, scores);
    }
    let side = 2.0 * SIDE + 3.0 * MARGIN;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 {side} {side}">
<style>
text {{ font-family: Helvetica, Arial, sans-serif; font-size: 12px; fill: #222; }}
.head {{ font-size: 15px; font-weight: bold; }}
.axis {{ fill: #555; }}
.end {{ text-anchor: end; }}
.middle {{ text-anchor: middle; }}
</style>
<rect width="{side}" height="{side}" fill="white"/>
{body}</svg>
"#
    )
}

fn panel(body: &mut String, (left, top): (f64, f64), kind: Kind, scores: &[Score]) {
    let in_seconds = matches!(kind, Kind::Tpot | Kind::Ttft);
    let factor = if in_seconds { 1e3 } else { 1.0 };
    let points: Vec<(f64, f64, f64)> = (scores.iter())
        .filter(|score| score.kind == kind)
        .filter_map(|score| Some((score.simulated * factor, score.formula? * factor, score.load)))
        .filter(|(x, y, _)| *x > 0.0 && *y > 0.0)
        .collect();
    let all = || points.iter().flat_map(|(x, y, _)| [*x, *y]);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    let place = |value: f64| (value.log10() - low) / (high - low) * SIDE;
    let unit = if in_seconds { "ms" } else { "token/s" };
    let _ = writeln!(
        body,
        r##"<text class="head" x="{left}" y="{}">{} [{unit}]</text>
<rect x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999"/>
<line x1="{left}" y1="{}" x2="{}" y2="{top}" stroke="#999"/>
<text class="axis middle" x="{}" y="{}">simulated</text>
<text class="axis" x="{left}" y="{}">formula</text>"##,
        top - 28.0,
        kind.name(),
        top + SIDE,
        left + SIDE,
        left + SIDE / 2.0,
        top + SIDE + 32.0,
        top - 8.0,
    );
    let mut power = low;
    while power <= high {
        let at = (power - low) / (high - low) * SIDE;
        let label = 10_f64.powf(power);
        let _ = writeln!(
            body,
            r##"<line x1="{x}" y1="{top}" x2="{x}" y2="{bottom}" stroke="#eee"/>
<line x1="{left}" y1="{y}" x2="{right}" y2="{y}" stroke="#eee"/>
<text class="axis middle" x="{x}" y="{}">{label}</text>
<text class="axis end" x="{}" y="{}">{label}</text>"##,
            top + SIDE + 16.0,
            left - 6.0,
            top + SIDE - at + 4.0,
            x = left + at,
            y = top + SIDE - at,
            bottom = top + SIDE,
            right = left + SIDE,
        );
        power += 1.0;
    }
    for (x, y, load) in points {
        let colour = if load < 0.8 { "#0072b2" } else { "#d55e00" };
        let _ = writeln!(
            body,
            r#"<circle cx="{:.1}" cy="{:.1}" r="2.6" fill="{colour}" fill-opacity="0.6"/>"#,
            left + place(x),
            top + SIDE - place(y)
        );
    }
}
