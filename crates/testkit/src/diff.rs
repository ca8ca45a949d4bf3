//! Comparison of large values: a failure shows only the first difference.

use std::fmt::Debug;
use std::fmt::Write as _;

/// Equal lines shown before the first different line.
const CONTEXT_LINES: usize = 6;
/// Characters of a line shown before and after the first different character.
const CONTEXT_CHARS: (usize, usize) = (120, 240);

/// Panics unless both values are equal, with the first different line of their pretty `Debug` form.
#[macro_export]
macro_rules! assert_eq_diff {
    ($left:expr, $right:expr $(,)?) => {
        $crate::assert_eq_diff!($left, $right, "values differ")
    };
    ($left:expr, $right:expr, $($context:tt)+) => {
        match (&$left, &$right) {
            (left, right) => if *left != *right {
                panic!("{}{}", format_args!($($context)+), $crate::diff::debug_difference(left, right))
            }
        }
    };
}

/// The first difference between the pretty `Debug` forms of two values.
pub fn debug_difference(left: &(impl Debug + ?Sized), right: &(impl Debug + ?Sized)) -> String {
    text_difference(&format!("{left:#?}"), &format!("{right:#?}"))
}

/// The first difference between two texts.
pub fn text_difference(left: &str, right: &str) -> String {
    let mut lines = (left.lines(), right.lines());
    let mut before: Vec<&str> = Vec::new();
    loop {
        let (ours, theirs) = (lines.0.next(), lines.1.next());
        if ours == theirs {
            let Some(line) = ours else { return ", but their Debug forms are equal".to_owned() };
            before.push(line);
            continue;
        }
        let mut text = format!("; first difference in line {}:\n", before.len() + 1);
        for line in &before[before.len().saturating_sub(CONTEXT_LINES)..] {
            let _ = writeln!(text, "    {}", excerpt(line, 0));
        }
        let same = ours.unwrap_or_default().chars().zip(theirs.unwrap_or_default().chars());
        let from = same.take_while(|(ours, theirs)| ours == theirs).count();
        let shown = |line: Option<&str>| line.map_or("(nothing)".to_owned(), |line| excerpt(line, from));
        let _ = writeln!(text, "  - {}\n  + {}", shown(ours), shown(theirs));
        return text;
    }
}

/// The part of a line around one character.
fn excerpt(line: &str, from: usize) -> String {
    let start = from.saturating_sub(CONTEXT_CHARS.0);
    let mut text: String = line.chars().skip(start).take(from - start + CONTEXT_CHARS.1).collect();
    if start > 0 {
        text.insert(0, '…');
    }
    if line.chars().count() > from + CONTEXT_CHARS.1 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::debug_difference;

    #[test]
    fn the_first_difference_of_large_values_is_shown_and_no_more() {
        let left: Vec<u32> = (0..100_000).collect();
        let mut right = left.clone();
        right[70_000] = 7;
        right.truncate(90_000);
        let shown = debug_difference(&left, &right);
        assert!(shown.starts_with("; first difference in line 70002:\n        69994,\n"), "{shown}");
        assert!(shown.ends_with("        69999,\n  -     70000,\n  +     7,\n"), "{shown}");
        let end = debug_difference(&left[..2], &left[..3]);
        assert!(end.ends_with("  - ]\n  +     2,\n"), "{end}");
        let long = |letter: &str| format!("{}{letter}{}", "é".repeat(50_000), "z".repeat(50_000));
        let shown = debug_difference(&long("a"), &long("b"));
        assert!(shown.chars().count() < 1000 && shown.contains("éaz") && shown.contains("ébz"), "{shown}");
    }

    #[test]
    #[should_panic(expected = "step 3; first difference in line 1:\n  - 1\n  + 2")]
    fn the_context_comes_first() {
        assert_eq_diff!(1, 2, "step {}", 3);
    }

    #[test]
    fn equal_values_pass() {
        assert_eq_diff!(vec![1], [1]);
    }
}
