//! The steps as a picture: one bar for each operator, in one SVG file that needs nothing else.

use std::fmt::Write;

use sglsim_kernels::Regime;

use super::{Step, rows, summary};
use crate::number::{fixed, percent};
use crate::svg;

const WIDTH: f64 = 1000.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 250.0;
const LONGEST: f64 = 440.0;
const ROW: f64 = 22.0;
/// Shares of the device's time below which operators are drawn as one.
const LEAST: f64 = 0.004;

/// Colours that differ in print and for the colour-blind.
fn colour(regime: Regime) -> &'static str {
    match regime {
        Regime::Compute => svg::BLUE,
        Regime::Memory => svg::GREEN,
        Regime::Communication => svg::VERMILION,
        Regime::Launch => "#8c6bb1",
    }
}

/// The picture of some steps of `model`.
pub(super) fn svg(model: &str, steps: &[Step]) -> String {
    let mut body = String::new();
    let mut y = 34.0;
    svg::text(&mut body, (24.0, y), "title", &format!("{model}: where the time of a step goes"));
    y += 26.0;
    let mut x = 24.0;
    for regime in Regime::ALL {
        let _ = writeln!(
            body,
            r#"<rect x="{x}" y="{}" width="12" height="12" fill="{}"/>"#,
            y - 10.5,
            colour(regime)
        );
        svg::text(&mut body, (x + 18.0, y), "small", &regime.to_string());
        x += 130.0;
    }
    svg::text(
        &mut body,
        (x, y),
        "small",
        "full colour: what the datasheet allows at best; pale: the rest",
    );
    for step in steps {
        y = panel(&mut body, y + 44.0, step);
    }
    let height = y + 24.0;
    svg::page(WIDTH, height, &body)
}

/// One step from `y` down; gives where it ends.
fn panel(body: &mut String, y: f64, step: &Step) -> f64 {
    let breakdown = &step.breakdown;
    let ms = |seconds: f64| fixed(seconds * 1e3, 3);
    svg::text(body, (24.0, y), "head", &format!("{}: {} ms", step.title, ms(breakdown.step_time)));
    svg::text(body, (24.0, y + 19.0), "small", &step.batch);
    let mut y = y + 36.0;
    for text in summary(breakdown).lines() {
        svg::text(body, (24.0, y), "small", text.trim());
        y += 17.0;
    }
    y += 6.0;
    let (shown, rest): (Vec<_>, Vec<_>) =
        rows(breakdown).into_iter().partition(|row| row.time >= LEAST * breakdown.device_time);
    let longest = shown.iter().map(|row| row.time).fold(f64::MIN_POSITIVE, f64::max);
    for row in &shown {
        let (whole, least) = (row.time / longest * LONGEST, row.roofline / longest * LONGEST);
        let fill = colour(row.regime());
        svg::text(body, (LEFT - 10.0, y + 14.0), "end", row.name);
        for (width, opacity) in [(whole, 0.35), (least, 1.0)] {
            let _ = writeln!(
                body,
                r#"<rect x="{LEFT}" y="{:.1}" width="{width:.1}" height="16" fill="{fill}" fill-opacity="{opacity}"/>"#,
                y + 1.5
            );
        }
        let text = format!(
            "{} ms · {} · {}",
            ms(row.time),
            percent(row.time / breakdown.device_time),
            row.kernel
        );
        svg::text(body, (LEFT + whole + 8.0, y + 14.0), "small", &text);
        y += ROW;
    }
    if !rest.is_empty() {
        let time: f64 = rest.iter().map(|row| row.time).sum();
        let text = format!("and {} more, {} ms", rest.len(), ms(time));
        svg::text(body, (LEFT, y + 14.0), "small", &text);
        y += ROW;
    }
    y
}
