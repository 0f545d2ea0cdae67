//! Lays out and draws one cue.

use super::fonts::{Choice, FAMILIES, font_map};
use super::style::{Colour, Look, OUTLINE, SHADOW};
use anyhow::{Context, Result};
use domain::artefact::{Cue, Picture, safe_area};

/// Each try shrinks the letters to what the last one was too large by; hinting is off, so the second fits but for rounding.
const SHRINK_TRIES: u32 = 4;

/// How much wider than the outline the shadow's line is.
const SHADOW_SPREAD: f64 = 1.25;

/// Draws cues; keeps its fonts from cue to cue.
pub(super) struct Painter {
    look: Look,
    /// Safe area in pixels of the picture.
    area: Area,
    /// Width and height of the picture.
    size: (f64, f64),
    bundled: pango::Context,
    /// Made when the bundle lacks a character.
    installed: Option<pango::Context>,
}

/// A cue that is laid out and drawn but for its spoken word.
pub(super) struct Drawn {
    lines: Vec<Line>,
    /// Letters with outline and shadow, on nothing.
    text: cairo::ImageSurface,
    /// Where the surface's top left corner is in the picture.
    pub(super) left: usize,
    pub(super) top: usize,
    em: f64,
}

/// The safe area, as lengths are reckoned here.
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

struct Line {
    layout: pango::Layout,
    /// On the surface.
    x: f64,
    y: f64,
    /// Box of the line's letters on the surface: left, top, width, height.
    frame: (f64, f64, f64, f64),
    /// Box of each word on the surface, in the order in which they are spoken.
    words: Vec<(f64, f64, f64, f64)>,
}

impl Painter {
    pub(super) fn new(look: Look, picture: &Picture) -> Result<Self> {
        let (width, height) = (f64::from(picture.width), f64::from(picture.height));
        let area = safe_area::scaled(safe_area::of(picture.ratio), picture.ratio, picture.width, picture.height);
        let [left, top, right, bottom] = [area.left, area.top, area.right, area.bottom].map(f64::from);
        let area = Area { left, top, right, bottom };
        Ok(Self { look, area, size: (width, height), bundled: context(Choice::Bundled)?, installed: None })
    }

    /// Lays out and draws `cue`; its lines are broken where it says and nowhere else.
    pub(super) fn draw(&mut self, cue: &Cue) -> Result<Drawn> {
        let texts: Vec<String> = cue.lines.iter().map(|line| joined(line.iter().map(|word| word.text.as_str()))).collect();
        let context = self.context_for(&texts)?;
        let (em, layouts) = self.fit(&context, &texts);
        let (across, down) = (self.look.padding.0 * em, self.look.padding.1 * em);
        // The outline and the shadow reach out of the letters.
        let margin = (self.look.outline * SHADOW_SPREAD + self.look.shadow.1) * em + across + 2.0;
        let widest = layouts.iter().map(|layout| f64::from(layout.size().0)).fold(0.0, f64::max) / f64::from(pango::SCALE);
        let (reach, centre) = (self.reach(em), self.size.0 / 2.0);
        let half = widest / 2.0 + reach;
        let centre = centre.max(self.area.left + half).min((self.area.right - half).max(self.area.left + half));
        let line_height = self.look.line_height * em;
        let height = line_height * layouts.len() as f64;
        let (left, top) = (even(centre - widest / 2.0 - margin), even(self.area.bottom - height - margin - down));
        let surface_size = ((widest + 2.0 * margin).ceil() as i32 + 2, (height + 2.0 * margin + 2.0 * down).ceil() as i32 + 2);
        let mut lines = Vec::with_capacity(layouts.len());
        for (index, (layout, words)) in layouts.into_iter().zip(&cue.lines).enumerate() {
            let scale = f64::from(pango::SCALE);
            let (wide, tall) = (f64::from(layout.size().0) / scale, f64::from(layout.size().1) / scale);
            let x = centre - wide / 2.0 - left;
            let middle = self.area.bottom - down - height + line_height * (index as f64 + 0.5) - top;
            let y = middle - tall / 2.0;
            let baseline = y + f64::from(layout.baseline()) / scale;
            let (above, below) = (baseline - CAPITAL * em, baseline);
            let boxes = word_ranges(words.iter().map(|word| word.text.as_str()))
                .into_iter()
                .map(|(start, end)| {
                    let (first, last) = across_of(&layout, start, end);
                    (x + first, above, last - first, below - above)
                })
                .collect();
            lines.push(Line { layout, x, y, frame: (x, above, wide, below - above), words: boxes });
        }
        let text =
            cairo::ImageSurface::create(cairo::Format::ARgb32, surface_size.0, surface_size.1).context("no surface for a caption")?;
        let drawn = Drawn { lines, text, left: left as usize, top: top as usize, em };
        self.draw_text(&drawn)?;
        Ok(drawn)
    }

    /// Returns the cue with word `spoken` lit, counted over all lines.
    pub(super) fn lit(&self, drawn: &Drawn, spoken: Option<usize>) -> Result<cairo::ImageSurface> {
        let surface = cairo::ImageSurface::create(cairo::Format::ARgb32, drawn.text.width(), drawn.text.height())
            .context("no surface for a caption")?;
        let context = cairo::Context::new(&surface)?;
        if let Some(colour) = self.look.block {
            for line in &drawn.lines {
                self.rounded(&context, line.frame, drawn.em, colour)?;
            }
        }
        let word =
            spoken.and_then(|spoken| drawn.lines.iter().flat_map(|line| line.words.iter().map(move |word| (line, *word))).nth(spoken));
        if let (Some((_, word)), Some(colour)) = (word, self.look.pill) {
            self.rounded(&context, word, drawn.em, colour)?;
        }
        context.set_source_surface(&drawn.text, 0.0, 0.0)?;
        context.paint()?;
        if let Some((line, (left, _, width, _))) = word.filter(|_| self.look.spoken != self.look.text) {
            let whole = f64::from(surface.height());
            context.rectangle(left, 0.0, width, whole);
            context.clip();
            set_colour(&context, self.look.spoken);
            context.move_to(line.x, line.y);
            pangocairo::functions::show_layout(&context, &line.layout);
        }
        drop(context);
        Ok(surface)
    }

    fn draw_text(&self, drawn: &Drawn) -> Result<()> {
        let context = cairo::Context::new(&drawn.text)?;
        context.set_line_join(cairo::LineJoin::Round);
        let em = drawn.em;
        if self.look.outline > 0.0 {
            let (right, down) = (self.look.shadow.0 * em, self.look.shadow.1 * em);
            for (offset, colour, spread) in [((right, down), SHADOW, SHADOW_SPREAD), ((0.0, 0.0), OUTLINE, 1.0)] {
                set_colour(&context, colour);
                context.set_line_width(self.look.outline * em * spread);
                for line in &drawn.lines {
                    context.move_to(line.x + offset.0, line.y + offset.1);
                    pangocairo::functions::layout_path(&context, &line.layout);
                }
                context.stroke()?;
            }
        }
        set_colour(&context, self.look.text);
        for line in &drawn.lines {
            context.move_to(line.x, line.y);
            // Not the path: emoji keep their own colours.
            pangocairo::functions::show_layout(&context, &line.layout);
        }
        Ok(())
    }

    /// Returns the letters' size and the lines' layouts, shrunk until they fit the safe area.
    fn fit(&self, context: &pango::Context, texts: &[String]) -> (f64, Vec<pango::Layout>) {
        let mut em = self.look.size * self.size.0.min(self.size.1);
        let mut layouts = lay_out(context, texts, em, self.look.weight);
        for _ in 0..SHRINK_TRIES {
            let widest = layouts.iter().map(|layout| f64::from(layout.size().0)).fold(0.0, f64::max) / f64::from(pango::SCALE);
            let across = (self.area.right - self.area.left) / (widest + 2.0 * self.reach(em));
            let down = (self.area.bottom - self.area.top) / (self.look.line_height * em * texts.len() as f64);
            let fit = across.min(down);
            if fit >= 1.0 {
                break;
            }
            em *= fit * 0.999;
            layouts = lay_out(context, texts, em, self.look.weight);
        }
        (em, layouts)
    }

    /// Returns how far anything is drawn beside the letters.
    fn reach(&self, em: f64) -> f64 {
        let shadow = self.look.outline * SHADOW_SPREAD / 2.0 + self.look.shadow.0;
        self.look.padding.0.max(shadow) * em
    }

    fn context_for(&mut self, texts: &[String]) -> Result<pango::Context> {
        let lacks = |context: &pango::Context| {
            lay_out(context, texts, 20.0, self.look.weight).iter().any(|layout| layout.unknown_glyphs_count() > 0)
        };
        if !lacks(&self.bundled) {
            return Ok(self.bundled.clone());
        }
        let installed = match &self.installed {
            Some(installed) => installed.clone(),
            None => context(Choice::WithInstalled)?,
        };
        if lacks(&installed) {
            tracing::warn!("no font on this machine has all characters of {texts:?}; install the Noto fonts of the language");
        }
        self.installed = Some(installed.clone());
        Ok(installed)
    }

    /// Fills a box with round corners around `(left, top, width, height)`, padded.
    fn rounded(&self, context: &cairo::Context, (x, y, width, height): (f64, f64, f64, f64), em: f64, colour: Colour) -> Result<()> {
        let (across, down) = (self.look.padding.0 * em, self.look.padding.1 * em);
        let (left, top, right, bottom) = (x - across, y - down, x + width + across, y + height + down);
        let radius = (self.look.radius * em).min((right - left) / 2.0).min((bottom - top) / 2.0);
        let quarter = std::f64::consts::FRAC_PI_2;
        context.new_sub_path();
        context.arc(right - radius, top + radius, radius, -quarter, 0.0);
        context.arc(right - radius, bottom - radius, radius, 0.0, quarter);
        context.arc(left + radius, bottom - radius, radius, quarter, 2.0 * quarter);
        context.arc(left + radius, top + radius, radius, 2.0 * quarter, 3.0 * quarter);
        context.close_path();
        set_colour(context, colour);
        context.fill()?;
        Ok(())
    }
}

/// Height of a capital in Inter, in parts of its size: pills and blocks are centred on capitals.
const CAPITAL: f64 = 0.727;

fn context(choice: Choice) -> Result<pango::Context> {
    use pango::prelude::FontMapExt;
    let context = font_map(choice)?.create_context();
    let mut options = cairo::FontOptions::new()?;
    // The same letters at every size and place: nothing is rounded to pixels.
    options.set_hint_style(cairo::HintStyle::None);
    options.set_hint_metrics(cairo::HintMetrics::Off);
    options.set_antialias(cairo::Antialias::Gray);
    pangocairo::functions::context_set_font_options(&context, Some(&options));
    context.set_round_glyph_positions(false);
    Ok(context)
}

fn lay_out(context: &pango::Context, texts: &[String], em: f64, weight: pango::Weight) -> Vec<pango::Layout> {
    let mut font = pango::FontDescription::new();
    font.set_family(FAMILIES);
    font.set_weight(weight);
    font.set_absolute_size(em * f64::from(pango::SCALE));
    let layout = |text: &String| {
        let layout = pango::Layout::new(context);
        layout.set_font_description(Some(&font));
        layout.set_single_paragraph_mode(true);
        layout.set_text(text);
        layout.set_attributes(Some(&smaller_emoji(text)));
        layout
    };
    texts.iter().map(layout).collect()
}

/// Size of emoji beside letters: at full size they reach into the line above.
const EMOJI_SCALE: f64 = 0.75;

fn smaller_emoji(text: &str) -> pango::AttrList {
    let attributes = pango::AttrList::new();
    for (index, character) in text.char_indices().filter(|(_, character)| is_emoji(*character)) {
        let mut scale = pango::AttrFloat::new_scale(EMOJI_SCALE);
        scale.set_start_index(index as u32);
        scale.set_end_index((index + character.len_utf8()) as u32);
        attributes.insert(scale);
    }
    attributes
}

/// Tells whether a character is drawn as a picture, or joins two that are.
fn is_emoji(character: char) -> bool {
    matches!(u32::from(character), 0x200D | 0x231A | 0x231B | 0x23E9..=0x23F3 | 0x2600..=0x27BF | 0x2B50 | 0x2B55 | 0xFE0F | 0x1F000..=0x1FAFF)
}

/// Returns where the bytes `start..end` of a line are drawn: from, to. Text from right to left has its end on the left.
fn across_of(layout: &pango::Layout, start: usize, end: usize) -> (f64, f64) {
    let Some(line) = layout.line_readonly(0) else { return (0.0, 0.0) };
    let text = layout.text();
    let edges = text
        .char_indices()
        .filter(|(index, _)| (start..end).contains(index))
        .flat_map(|(index, _)| [line.index_to_x(index as i32, false), line.index_to_x(index as i32, true)]);
    let (first, last) = edges.fold((i32::MAX, i32::MIN), |(first, last), edge| (first.min(edge), last.max(edge)));
    let scale = f64::from(pango::SCALE);
    if first > last { (0.0, 0.0) } else { (f64::from(first) / scale, f64::from(last) / scale) }
}

/// Returns words as running text; scripts without spaces have none.
fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for word in words {
        if needs_space(&text, word) {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Returns where each word is in the running text, in bytes.
fn word_ranges<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(usize, usize)> {
    let mut text = String::new();
    words
        .map(|word| {
            if needs_space(&text, word) {
                text.push(' ');
            }
            let start = text.len();
            text.push_str(word);
            (start, text.len())
        })
        .collect()
}

fn needs_space(before: &str, after: &str) -> bool {
    let ends = before.chars().next_back().zip(after.chars().next());
    ends.is_some_and(|(before, after)| !(is_unspaced(before) && is_unspaced(after)))
}

/// Tells whether words of this script follow one another without a space: Han, Kana, full-width forms.
fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character), 0x2E80..=0x9FFF | 0xF900..=0xFAFF | 0xFE30..=0xFE4F | 0xFF01..=0xFF60 | 0x20000..=0x3FFFD)
}

fn set_colour(context: &cairo::Context, Colour(red, green, blue, opacity): Colour) {
    context.set_source_rgba(red, green, blue, opacity);
}

fn even(length: f64) -> f64 {
    (length.max(0.0) / 2.0).floor() * 2.0
}
