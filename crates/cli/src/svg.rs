//! What all drawings share.

use std::fmt::Write;

/// Colours that people who do not see all colours tell apart (Okabe and Ito, 2008).
pub(crate) const BLUE: &str = "#0072b2";
pub(crate) const ORANGE: &str = "#e69f00";
pub(crate) const VERMILION: &str = "#d55e00";
pub(crate) const GREEN: &str = "#009e73";
pub(crate) const GREY: &str = "#999999";

/// A drawing of this size.
pub(crate) fn page(width: f64, height: f64, body: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<style>
text {{ font-family: Helvetica, Arial, sans-serif; font-size: 13px; fill: #222; }}
.title {{ font-size: 19px; font-weight: bold; }}
.head {{ font-size: 15px; font-weight: bold; }}
.small {{ font-size: 12px; fill: #555; }}
.tiny {{ font-size: 10px; fill: #333; }}
.end {{ text-anchor: end; }}
.middle {{ text-anchor: middle; }}
</style>
<rect width="{width}" height="{height}" fill="white"/>
{body}</svg>
"#
    )
}

/// A line of text; `class` names styles of [`page`].
pub(crate) fn text(body: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, r#"<text x="{x:.1}" y="{y:.1}" class="{class}">{text}</text>"#);
}

/// A straight line; `style` are further attributes.
pub(crate) fn line(body: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ =
        writeln!(body, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#);
}

/// A filled rectangle: its upper left corner and its size.
pub(crate) fn rect(body: &mut String, at: (f64, f64), size: (f64, f64), fill: &str) {
    let ((x, y), (width, height)) = (at, size);
    let _ = writeln!(
        body,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
    );
}

/// A disc.
pub(crate) fn dot(body: &mut String, (x, y): (f64, f64), radius: f64, fill: &str) {
    let _ = writeln!(body, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{fill}"/>"#);
}

/// A line through points.
pub(crate) fn path(body: &mut String, points: &[(f64, f64)], style: &str) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(body, r#"<polyline points="{}" fill="none" {style}/>"#, points.join(" "));
}
