//! Predicted against measured times, as a picture.

use std::collections::BTreeMap;
use std::fmt::Write;

use sglsim_kernels::Regime;

use crate::Errors;
use crate::score::{Point, Score};

/// Size of a panel's square, and what surrounds it \[px\].
const SIDE: f64 = 250.0;
const LEFT: f64 = 66.0;
const TOP: f64 = 44.0;
const WIDTH: f64 = SIDE + LEFT + 18.0;
const HEIGHT: f64 = SIDE + TOP + 44.0;
/// Room for the title \[px\].
const HEAD: f64 = 62.0;
/// Panels side by side.
const COLUMNS: usize = 4;
/// Points of a panel that are drawn; more would only make the file large.
const MOST_POINTS: usize = 700;

const REGIMES: [(Regime, &str); 4] = [
    (Regime::Compute, "#c2410c"),
    (Regime::Memory, "#1d4ed8"),
    (Regime::Communication, "#7e22ce"),
    (Regime::Launch, "#64748b"),
];

/// Predicted against measured times, one panel per operator and number format, as a self-contained
/// SVG: logarithmic scales, the diagonal, a band of ±20 %, colours by what bounds the
/// call.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn plot(score: &Score, title: &str) -> String {
    let mut panels: BTreeMap<String, Vec<&Point>> = BTreeMap::new();
    let finite = |point: &&Point| point.predicted > 0.0 && point.predicted.is_finite();
    for table in score.tables.iter().filter(|table| !table.points.is_empty()) {
        let name = match table.dtype.as_str() {
            "-" => table.op.clone(),
            dtype => format!("{} {dtype}", table.op),
        };
        panels.entry(name).or_default().extend(table.points.iter().filter(finite));
    }
    let columns = panels.len().clamp(1, COLUMNS);
    let width = (columns as f64 * WIDTH + 20.0).max(560.0);
    let height = HEAD + panels.len().div_ceil(columns) as f64 * HEIGHT + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"11\" fill=\"#0f172a\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\">Predicted against measured \
         time: {}</text>\n",
        escaped(title)
    );
    let mut x = 16.0;
    for (regime, colour) in REGIMES {
        let name = regime.to_string();
        let _ = writeln!(
            out,
            "<circle cx=\"{}\" cy=\"44\" r=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"48\">{name}</text>",
            x + 4.0,
            x + 13.0
        );
        x += 36.0 + 7.0 * name.len() as f64;
    }
    let _ =
        writeln!(out, "<text x=\"{x}\" y=\"48\" fill=\"#64748b\">grey band: within 20 %</text>");
    for (at, (name, points)) in panels.iter().enumerate() {
        let (column, row) = (at % columns, at / columns);
        let (x, y) = (column as f64 * WIDTH, HEAD + row as f64 * HEIGHT);
        let _ = writeln!(out, "<g transform=\"translate({x} {y})\">");
        panel(&mut out, name, points);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, name: &str, points: &[&Point]) {
    // Long names in letters that do not reach the next panel.
    let size = if name.len() > 34 { 10 } else { 13 };
    let times = points.iter().flat_map(|point| [point.measured, point.predicted]);
    let (low, high) = times
        .fold((f64::MAX, 0.0), |(low, high), time| (f64::min(low, time), f64::max(high, time)));
    let (low, high) = (low.log10() - 0.05, high.log10() + 0.05);
    let scale = SIDE / (high - low).max(0.1);
    let across = |time: f64| LEFT + (time.log10() - low) * scale;
    let up = |time: f64| TOP + SIDE - (time.log10() - low) * scale;

    let errors = Errors::of(points.iter().map(|point| point.relative_error()));
    let errors = errors.map_or(String::new(), |errors| {
        format!(
            "{} points, median {:.1} %, p90 {:.1} %",
            errors.points,
            errors.median_ape * 100.0,
            errors.p90_ape * 100.0
        )
    });
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"18\" font-size=\"{size}\" font-weight=\"600\">{}</text>\
         <text x=\"{LEFT}\" y=\"34\" fill=\"#475569\">{errors}</text>\
         <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#cbd5e1\"/>",
        escaped(name)
    );
    // The band of ±20 % around the diagonal, cut at the panel's edge.
    let (first, last) = (10f64.powf(low), 10f64.powf(high));
    let corner = |x: f64, y: f64| format!("{:.1},{:.1} ", across(x), up(y));
    let band = [
        corner(first, first),
        corner(first, first * 1.2),
        corner(last / 1.2, last),
        corner(last, last),
        corner(last, last * 0.8),
        corner(first / 0.8, first),
    ];
    let _ = writeln!(
        out,
        "<polygon points=\"{}\" fill=\"#f1f5f9\"/><line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" \
         y2=\"{:.1}\" stroke=\"#94a3b8\"/>",
        band.concat().trim_end(),
        across(first),
        up(first),
        across(last),
        up(last)
    );
    for decade in low.ceil() as i32..=high.floor() as i32 {
        let time = 10f64.powi(decade);
        let (x, y) = (across(time), up(time));
        let (bottom, right, label) = (TOP + SIDE, LEFT + SIDE, unit(decade));
        let (below, before, middle) = (bottom + 15.0, LEFT - 6.0, y + 4.0);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {TOP}V{bottom} M{LEFT} {y:.1}H{right}\" stroke=\"#e2e8f0\"/>\
             <text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>\
             <text x=\"{before}\" y=\"{middle:.1}\" text-anchor=\"end\">{label}</text>",
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#475569\">measured</text>\
         <text transform=\"translate(12 {}) rotate(-90)\" text-anchor=\"middle\" \
         fill=\"#475569\">predicted</text>",
        LEFT + SIDE / 2.0,
        TOP + SIDE + 31.0,
        TOP + SIDE / 2.0
    );
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    for (regime, colour) in REGIMES {
        let mut path = String::new();
        let own = points.iter().step_by(stride).filter(|point| point.regime == regime);
        for point in own {
            // A line of no length with round caps is a dot.
            let _ = write!(path, "M{:.1} {:.1}h0", across(point.measured), up(point.predicted));
        }
        if !path.is_empty() {
            let _ = writeln!(
                out,
                "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"3.2\" \
                 stroke-linecap=\"round\" stroke-opacity=\"0.45\" fill=\"none\"/>"
            );
        }
    }
}

/// A power of ten of seconds, such as `10 µs`.
fn unit(decade: i32) -> String {
    let (prefix, rest) = match decade {
        ..-6 => ("ns", decade + 9),
        -6..-3 => ("µs", decade + 6),
        -3..0 => ("ms", decade + 3),
        _ => ("s", decade),
    };
    format!("{} {prefix}", 10f64.powi(rest))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_have_names() {
        let names: Vec<String> = [-8, -6, -5, -3, -1, 0, 1].map(unit).into();
        assert_eq!(names, ["10 ns", "1 µs", "10 µs", "1 ms", "100 ms", "1 s", "10 s"]);
    }
}
