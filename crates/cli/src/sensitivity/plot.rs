//! What each change gives, as a tornado: the widest bars on top.

use std::fmt::Write;

use super::{Found, changed, reading};
use crate::svg;

const WIDTH: f64 = 1000.0;
/// Where there is no change, and how long the longest bar is.
const MIDDLE: f64 = 690.0;
const LONGEST: f64 = 190.0;
const ROW: f64 = 26.0;
const MOST_ROWS: usize = 20;
/// Changes beyond this are drawn as long as this: one ruinous setting must not hide the rest.
const WIDEST: f64 = 0.5;
/// Where names end.
const NAMES: f64 = 440.0;
const LESS: &str = svg::VERMILION;
const MORE: &str = svg::BLUE;

/// A row: its name and the change with less and with more.
struct Row {
    name: String,
    less: Option<(String, f64)>,
    more: Option<(String, f64)>,
}

impl Row {
    fn width(&self) -> f64 {
        let sides = [&self.less, &self.more].into_iter().flatten();
        sides.map(|(_, change)| change.abs()).fold(0.0, f64::max)
    }
}

pub(super) fn svg(found: &Found) -> String {
    let by = found.by;
    let mut rows: Vec<Row> = Vec::new();
    for parameter in &found.parameters {
        let Some([less, more]) = parameter.simulated else { continue };
        let side = |sign: &str, value: Option<f64>| {
            value.map(|value| (format!("{sign}{by} %"), found.change(value)))
        };
        let name = parameter.at.name.clone();
        rows.push(Row { name, less: side("−", less), more: side("+", more) });
    }
    for tried in &found.knobs {
        let Ok(value) = tried.value else { continue };
        let name = tried.path.trim_start_matches("deployment.").to_owned();
        let side = Some((tried.to.clone(), found.change(value)));
        let is_less = tried.to.parse::<u64>().ok() < tried.now.parse::<u64>().ok();
        let name = format!("{name} (now {})", tried.now);
        let row = match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row,
            None => {
                rows.push(Row { name, less: None, more: None });
                rows.last_mut().expect("it was just put there")
            }
        };
        if is_less {
            row.less = side;
        } else {
            row.more = side;
        }
    }
    rows.sort_by(|a, b| b.width().total_cmp(&a.width()));
    rows.truncate(MOST_ROWS);
    let widest = rows.first().map_or(0.0, Row::width).clamp(1e-9, WIDEST);

    let mut body = String::new();
    let title = format!("{} {}: what changes it", found.metric, reading(found.metric, found.value));
    svg::text(&mut body, (24.0, 34.0), "title", &title);
    for (x, colour, word) in [(24.0, LESS, "less of it"), (124.0, MORE, "more of it")] {
        let _ =
            writeln!(body, r#"<rect x="{x}" y="49.5" width="12" height="12" fill="{colour}"/>"#);
        svg::text(&mut body, (x + 18.0, 60.0), "small", word);
    }
    svg::text(&mut body, (240.0, 60.0), "small", "each bar is a simulation of its own");
    let mut y = 84.0;
    for row in &rows {
        svg::text(&mut body, (NAMES, y + 14.0), "end", &row.name);
        // Two bars to the same side share it, one below the other.
        let sides = [(&row.less, LESS), (&row.more, MORE)];
        for (at, (side, colour)) in sides.into_iter().enumerate() {
            let Some((label, change)) = side else { continue };
            let length = (change.abs() / widest).min(1.0) * LONGEST;
            let x = if *change < 0.0 { MIDDLE - length } else { MIDDLE };
            let top = y + 1.0 + 10.0 * at as f64;
            let _ = writeln!(
                body,
                r#"<rect x="{x:.1}" y="{top:.1}" width="{:.1}" height="9" fill="{colour}"/>"#,
                length.max(0.5)
            );
            let text = format!("{label}: {}", changed(*change));
            let (x, class) = if *change < 0.0 {
                (MIDDLE - length - 6.0, "tiny end")
            } else {
                (MIDDLE + length + 6.0, "tiny")
            };
            svg::text(&mut body, (x, top + 8.0), class, &text);
        }
        y += ROW;
    }
    let _ = writeln!(
        body,
        r##"<line x1="{MIDDLE}" y1="78" x2="{MIDDLE}" y2="{y}" stroke="#222" stroke-width="1"/>"##
    );
    let height = y + 24.0;
    svg::page(WIDTH, height, &body)
}
