//! Draws messages as cards, in SVG: plain, the same on every machine, readable on light and dark pages.

use std::fmt::Write as _;

/// One thing that a reader sees.
pub enum Line {
    /// Larger and bold.
    Title(String),
    /// Running text, in which the channel's emphasis holds.
    Text(String),
    /// A name and its value.
    Fact(String, String),
}

/// What a pair of asterisks does.
#[derive(Clone, Copy)]
pub enum Emphasis {
    Bold,
    Italic,
    None,
}

const WIDTH: usize = 760;
/// Characters in a row of text, of a title, of a fact's value.
const ROW: usize = 96;
const TITLE_ROW: usize = 80;
const VALUE_ROW: usize = 76;
const LEADING: usize = 20;

/// One card below the other; the first two fail, the last has recovered.
pub fn picture(name: &str, emphasis: Emphasis, messages: &[Vec<Line>]) -> String {
    let mut cards = String::new();
    let mut top = 12;
    for (index, lines) in messages.iter().enumerate() {
        let colour = if index + 1 == messages.len() { "#2da44e" } else { "#cf222e" };
        let mut rows = Rows { svg: String::new(), y: top + 26 };
        rows.text(
            24,
            &format!("font-weight=\"600\" fill=\"{colour}\""),
            &escaped(&format!("{name} · health-check-operator")),
        );
        lines.iter().for_each(|line| rows.line(line, emphasis));
        let height = rows.y - top - 4;
        let _ = write!(
            cards,
            "<rect x=\"8\" y=\"{top}\" width=\"{}\" height=\"{height}\" rx=\"6\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>\n\
             <rect x=\"8\" y=\"{top}\" width=\"5\" height=\"{height}\" rx=\"2\" fill=\"{colour}\"/>\n{}",
            WIDTH - 16,
            rows.svg
        );
        top += height + 12;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" viewBox=\"0 0 {WIDTH} {top}\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"14\" fill=\"#1f2328\">\n\
         {cards}</svg>\n"
    )
}

struct Rows {
    svg: String,
    y: usize,
}

impl Rows {
    fn text(&mut self, x: usize, style: &str, inner: &str) {
        let style = if style.is_empty() { String::new() } else { format!(" {style}") };
        let _ = writeln!(self.svg, "<text x=\"{x}\" y=\"{}\"{style}>{inner}</text>", self.y);
        self.y += LEADING;
    }

    fn line(&mut self, line: &Line, emphasis: Emphasis) {
        match line {
            Line::Title(text) => {
                for row in wrapped(text, TITLE_ROW) {
                    self.text(24, "font-size=\"15\" font-weight=\"600\"", &escaped(&row));
                }
            }
            Line::Text(text) => {
                let marked = marked(text, emphasis);
                for row in wrapped(&marked, ROW) {
                    self.text(24, "", &styled(&row, emphasis));
                }
            }
            Line::Fact(name, value) => {
                let _ = writeln!(self.svg, "<text x=\"24\" y=\"{}\" fill=\"#59636e\">{}</text>", self.y, escaped(name));
                for row in wrapped(value, VALUE_ROW) {
                    self.text(150, "", &escaped(&row));
                }
            }
        }
    }
}

/// Where emphasis begins and ends, as characters that no message holds.
const BEGINS: char = '\u{e000}';
const ENDS: char = '\u{e001}';

fn marked(text: &str, emphasis: Emphasis) -> String {
    if matches!(emphasis, Emphasis::None) {
        return text.to_owned();
    }
    let mut open = false;
    text.chars()
        .map(|character| match character {
            '*' => {
                open = !open;
                if open { BEGINS } else { ENDS }
            }
            other => other,
        })
        .collect()
}

fn styled(row: &str, emphasis: Emphasis) -> String {
    let style = match emphasis {
        Emphasis::Bold => "font-weight=\"700\"",
        Emphasis::Italic => "font-style=\"italic\"",
        Emphasis::None => "",
    };
    escaped(row).replace(BEGINS, &format!("<tspan {style}>")).replace(ENDS, "</tspan>")
}

fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match rows.last_mut() {
            Some(row) if row.chars().count() + 1 + word.chars().count() <= most => {
                row.push(' ');
                row.push_str(word);
            }
            _ => rows.push(word.to_owned()),
        }
    }
    rows
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
