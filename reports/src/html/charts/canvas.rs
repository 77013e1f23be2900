//! The sheet that charts are drawn on: a frame with two axes, and strokes within it.
//!
//! plotters draws; we choose. Its own legends and ticks do not suit (a legend in the way of the lines,
//! `1000.0` for a second), so we take from it the canvas and the shapes. It knows colours only as RGB,
//! and a page that follows the reader's light or dark needs CSS variables: so each [`Ink`] has a colour
//! that nobody would pick, and at the end those colours are replaced by the variables' names.
//!
//! Coordinates are whole numbers there; so we draw four times as large as the page shows.

use super::axis::Axis;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::io;

/// How much finer than a CSS pixel.
const FINE: f64 = 4.0;
/// Width of every chart in CSS pixels, at which its text has its nominal size.
const WIDTH: f64 = 440.0;
const TEXT: f64 = 12.5;

/// What a stroke means; the page's style sheet says how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// The n-th series.
    Series(u8),
    /// Words on the chart.
    Text,
    /// Lines of the grid.
    Grid,
    /// The frame.
    Axis,
    /// A threshold.
    Limit,
    /// Words at a threshold.
    LimitText,
    /// An event.
    Event,
    /// A named window.
    Phase,
    /// The warm-up.
    Warmup,
    /// One of too many series to tell apart.
    Crowd,
    /// What the others are compared with, where it is one of too many.
    Baseline,
}

impl Ink {
    fn colour(self) -> RGBColor {
        match self {
            Ink::Series(n) => RGBColor(1, 0, n),
            Ink::Text => RGBColor(2, 0, 0),
            Ink::Grid => RGBColor(2, 0, 1),
            Ink::Axis => RGBColor(2, 0, 2),
            Ink::Limit => RGBColor(2, 0, 3),
            Ink::LimitText => RGBColor(2, 0, 4),
            Ink::Event => RGBColor(2, 0, 5),
            Ink::Phase => RGBColor(2, 0, 6),
            Ink::Warmup => RGBColor(2, 0, 7),
            Ink::Crowd => RGBColor(2, 0, 8),
            Ink::Baseline => RGBColor(2, 0, 9),
        }
    }

    /// The CSS variable, without the dashes.
    pub(crate) fn variable(self) -> String {
        let name = match self {
            Ink::Series(n) => return format!("s{n}"),
            Ink::Text | Ink::Baseline => "text",
            Ink::Grid => "grid",
            Ink::Axis => "axis",
            Ink::Limit | Ink::LimitText => "limit",
            Ink::Event => "event",
            Ink::Phase => "phase",
            Ink::Warmup => "warmup",
            Ink::Crowd => "crowd",
        };
        name.to_owned()
    }

    fn all() -> impl Iterator<Item = Ink> {
        (0..super::COLOURS).map(Ink::Series).chain([
            Ink::Text,
            Ink::Grid,
            Ink::Axis,
            Ink::Limit,
            Ink::LimitText,
            Ink::Event,
            Ink::Phase,
            Ink::Warmup,
            Ink::Crowd,
            Ink::Baseline,
        ])
    }

    /// Whether its lines are dashed: those of the second half of the palette, so that fewer series differ by colour alone.
    pub(super) fn is_dashed(self) -> bool {
        matches!(self, Ink::Series(n) if n >= super::COLOURS / 2)
    }

    /// What else a stroke of this ink gets.
    fn dashes(self) -> &'static str {
        match self {
            Ink::Limit => "\" stroke-dasharray=\"24 16",
            Ink::Event => "\" stroke-dasharray=\"6 12",
            _ if self.is_dashed() => "\" stroke-dasharray=\"44 18",
            _ => "",
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
/// What drawing gives.
pub(super) type Stroke = Result<(), DrawingAreaErrorKind<io::Error>>;

/// Where on the chart a word hangs from its point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hang {
    /// Right of it.
    Right,
    /// Left of it.
    Left,
    /// Below, centred.
    Below,
    /// Above, its end at the point.
    AboveLeft,
    /// Below, its end at the point.
    BelowLeft,
}

/// A frame with axes; values in, strokes out.
pub(super) struct Canvas<'a> {
    area: Area<'a>,
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// How a chart is laid out.
pub(super) struct Layout {
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// In CSS pixels.
    pub(super) height: f64,
    /// Room for the labels of the y axis, in CSS pixels.
    pub(super) left: f64,
}

impl Layout {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        Layout { x, y, height: 260.0, left: 58.0 }
    }
}

/// Draws a chart: `<svg …>` that fills the width it is given. `title` and `description` are read out
/// by screen readers.
pub(super) fn draw(
    layout: Layout,
    title: &str,
    description: &str,
    strokes: impl FnOnce(&Canvas<'_>) -> Stroke,
) -> io::Result<String> {
    let mut svg = String::new();
    let (width, height) = ((WIDTH * FINE) as u32, (layout.height * FINE) as u32);
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        let canvas = Canvas {
            area,
            x: layout.x,
            y: layout.y,
            left: layout.left * FINE,
            right: (WIDTH - 14.0) * FINE,
            top: 18.0 * FINE,
            bottom: (layout.height - 24.0) * FINE,
        };
        let drawn = strokes(&canvas).and_then(|()| canvas.area.present());
        drawn.map_err(|error| io::Error::other(format!("{title}: {error}")))?;
    }
    for ink in Ink::all() {
        let RGBColor(r, g, b) = ink.colour();
        let paint = format!("\"#{r:02X}{g:02X}{b:02X}\"");
        let stroke = format!("stroke=\"var(--{}){}\"", ink.variable(), ink.dashes());
        svg = svg.replace(&format!("stroke={paint}"), &stroke);
        svg = svg.replace(&paint, &format!("\"var(--{})\"", ink.variable()));
    }
    for (verbose, short) in [
        (" font-family=\"sans-serif\"", ""),
        (" opacity=\"1\"", ""),
        (" \"/>", "\"/>"),
        (" stroke-width=\"1\"", ""),
        (" fill=\"none\" stroke", " stroke"),
    ] {
        svg = svg.replace(verbose, short);
    }
    let inner = svg.split_once('>').map_or("", |(_, rest)| rest);
    let lines: Vec<&str> = inner.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title><desc>{}</desc>\n{}",
        escape(title),
        escape(description),
        lines.join("\n")
    ))
}

/// Text as text, between tags.
pub(crate) fn escape(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Canvas<'_> {
    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let px = self.left + self.x.position(x) * (self.right - self.left);
        let py = self.bottom - self.y.position(y) * (self.bottom - self.top);
        (px.round() as i32, py.round() as i32)
    }

    fn edges(&self) -> (i32, i32, i32, i32) {
        (self.left as i32, self.right as i32, self.top as i32, self.bottom as i32)
    }

    fn path(&self, points: Vec<(i32, i32)>, ink: Ink, width: f64) -> Stroke {
        let style = ink.colour().stroke_width((width * FINE) as u32);
        self.area.draw(&PathElement::new(points, style))
    }

    /// Words at a place in fine pixels.
    fn words(&self, text: &str, at: (i32, i32), hang: Hang, ink: Ink) -> Stroke {
        let (h, v) = match hang {
            Hang::Right => (HPos::Left, VPos::Center),
            Hang::Left => (HPos::Right, VPos::Center),
            Hang::Below => (HPos::Center, VPos::Top),
            Hang::AboveLeft => (HPos::Right, VPos::Bottom),
            Hang::BelowLeft => (HPos::Right, VPos::Top),
        };
        // The backend divides by 1.24 what it is given.
        let style =
            ("sans-serif", TEXT * FINE * 1.24).into_font().color(&ink.colour()).pos(Pos::new(h, v));
        self.area.draw(&Text::new(text.to_owned(), at, style))
    }

    /// Grid, ticks and their labels.
    pub(super) fn axes(&self) -> Stroke {
        let (left, right, _, bottom) = self.edges();
        let last = self.x.ticks.len().saturating_sub(1);
        for (value, label) in &self.y.ticks {
            let (_, y) = self.at((0.0, *value));
            let ink = if y == bottom { Ink::Axis } else { Ink::Grid };
            self.path(vec![(left, y), (right, y)], ink, 1.0)?;
            self.words(label, (left - 24, y), Hang::Left, Ink::Text)?;
        }
        for (index, (value, label)) in self.x.ticks.iter().enumerate() {
            let (x, _) = self.at((*value, 0.0));
            self.path(vec![(x, bottom), (x, bottom + 16)], Ink::Axis, 1.0)?;
            // The last label must not run out of the picture.
            let x = if index == last { x.min(right - 40) } else { x };
            self.words(label, (x, bottom + 28), Hang::Below, Ink::Text)?;
        }
        self.path(vec![(left, bottom), (right, bottom)], Ink::Axis, 1.0)
    }

    /// Labels of the y axis only, with lines for x: for bars that lie.
    pub(super) fn axes_of_bars(&self, names: &[String]) -> Stroke {
        let (left, right, top, bottom) = self.edges();
        for (value, label) in &self.x.ticks {
            let (x, _) = self.at((*value, 0.0));
            let ink = if x == left { Ink::Axis } else { Ink::Grid };
            self.path(vec![(x, top), (x, bottom)], ink, 1.0)?;
            self.words(label, (x.min(right - 20), bottom + 16), Hang::Below, Ink::Text)?;
        }
        for (index, name) in names.iter().enumerate() {
            let (_, y) = self.bar(index, names.len());
            self.words(name, (left - 24, y), Hang::Left, Ink::Text)?;
        }
        Ok(())
    }

    /// Half the height and the middle of a lying bar.
    fn bar(&self, index: usize, count: usize) -> (i32, i32) {
        let each = (self.bottom - self.top) / count.max(1) as f64;
        let middle = self.top + (index as f64 + 0.5) * each;
        ((each * 0.36).round() as i32, middle.round() as i32)
    }

    /// A lying bar from zero to `value`, with a word at its end.
    pub(super) fn bar_to(
        &self,
        (index, count): (usize, usize),
        value: f64,
        label: &str,
        ink: Ink,
    ) -> Stroke {
        let (half, y) = self.bar(index, count);
        let (left, right, ..) = self.edges();
        let (end, _) = self.at((value, 0.0));
        let corners = [(left, y - half), (end, y + half)];
        self.area.draw(&Rectangle::new(corners, ink.colour().filled()))?;
        let room = label.chars().count() as i32 * 28;
        if end + 24 + room < right {
            self.words(label, (end + 24, y), Hang::Right, Ink::Text)
        } else {
            Ok(())
        }
    }

    /// A line through points; a break wherever a value is missing; a lone point is a dot.
    pub(super) fn line(&self, points: &[(f64, Option<f64>)], ink: Ink, width: f64) -> Stroke {
        for part in points.split(|(_, y)| y.is_none()) {
            let part: Vec<(i32, i32)> =
                part.iter().filter_map(|(x, y)| y.map(|y| self.at((*x, y)))).collect();
            match part[..] {
                [] => {}
                [dot] => {
                    let radius = (width * FINE) as i32;
                    self.area.draw(&Circle::new(dot, radius, ink.colour().filled()))?;
                }
                _ => self.path(part, ink, width)?,
            }
        }
        Ok(())
    }

    /// What lies between two courses.
    pub(super) fn band(&self, lower: &[(f64, f64)], upper: &[(f64, f64)], ink: Ink) -> Stroke {
        let around = lower.iter().chain(upper.iter().rev());
        let around: Vec<(i32, i32)> = around.map(|point| self.at(*point)).collect();
        self.area.draw(&Polygon::new(around, ink.colour().mix(0.85).filled()))
    }

    /// A shaded window over the whole height, with its name at the top.
    pub(super) fn window(&self, from: f64, to: f64, name: &str, ink: Ink) -> Stroke {
        let (_, _, top, bottom) = self.edges();
        let ((x0, _), (x1, _)) = (self.at((from, 0.0)), self.at((to, 0.0)));
        self.area.draw(&Rectangle::new([(x0, top), (x1, bottom)], ink.colour().filled()))?;
        let room = name.chars().count() as i32 * 28;
        if room < x1 - x0 {
            self.words(name, (i32::midpoint(x0, x1), top + 12), Hang::Below, Ink::Text)?;
        }
        Ok(())
    }

    /// A dotted line from top to bottom with a number above it.
    pub(super) fn mark(&self, at: f64, label: &str) -> Stroke {
        let (_, _, top, bottom) = self.edges();
        let (x, _) = self.at((at, 0.0));
        self.path(vec![(x, top), (x, bottom)], Ink::Event, 1.25)?;
        self.words(label, (x, top - 60), Hang::Below, Ink::Event)
    }

    /// A dashed line from `from` to `to`, with words at its end: above it, or below where another
    /// line is so near that its words stand there.
    pub(super) fn limit(
        &self,
        value: f64,
        (from, to): (f64, f64),
        label: &str,
        above: &[f64],
    ) -> Stroke {
        if !self.y.contains(value) {
            return Ok(());
        }
        let ((x0, y), (x1, _)) = (self.at((from, value)), self.at((to, value)));
        self.path(vec![(x0, y), (x1, y)], Ink::Limit, 1.5)?;
        let room = (TEXT * FINE * 1.3) as i32;
        let is_crowded =
            above.iter().any(|other| (0..room).contains(&(y - self.at((from, *other)).1)));
        let hang = if is_crowded { Hang::BelowLeft } else { Hang::AboveLeft };
        self.words(label, (x1, y), hang, Ink::LimitText)
    }
}
