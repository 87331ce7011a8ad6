//! Connected components of a mask, and the box around the largest.

use super::Array;

/// `components(m [height, width], corners) -> [height, width]`: 0 outside the mask, 1 in its largest component, 2 in the next ..;
/// of equal ones the first in reading order comes first. With `corners` (the default) pixels that touch at a corner are connected.
pub fn components(arrays: &[Array], numbers: &[f64]) -> Array {
    let Some(mask) = arrays.first() else { return Array { shape: Vec::new(), values: vec![0.0] } };
    let corners = numbers.first().is_none_or(|&corners| corners != 0.0);
    let (labels, sizes) = label(mask, corners);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&component| std::cmp::Reverse(sizes[component]));
    let mut rank = vec![0.0; sizes.len()];
    order.iter().zip(1..).for_each(|(&component, place)| rank[component] = place as f32);
    let values = labels.iter().map(|label| label.map_or(0.0, |component| rank[component])).collect();
    Array { shape: mask.shape.clone(), values }
}

/// `largest_box(m [height, width]) -> [corner: 4]`: left, top, right, bottom of the largest component (corners connect) in pixels,
/// right and bottom exclusive; all 0 for an empty mask.
pub fn largest_box(arrays: &[Array], _numbers: &[f64]) -> Array {
    Array { shape: vec![4], ..boxes(arrays, &[1.0]) }
}

/// `boxes(m [height, width], most) -> [region: most, corner: 4]`: the same of the `most` largest components, the largest first; all 0
/// where there are fewer.
pub fn boxes(arrays: &[Array], numbers: &[f64]) -> Array {
    let most = numbers.first().map_or(0, |&most| most as usize);
    let labels = components(arrays, &[1.0]);
    let (_, width) = labels.height_width();
    let mut bounds: Vec<Option<[usize; 4]>> = vec![None; most];
    for (pixel, value) in labels.values.iter().enumerate() {
        let Some(own) = (*value as usize).checked_sub(1).and_then(|place| bounds.get_mut(place)) else { continue };
        let (x, y) = (pixel % width, pixel / width);
        let [left, top, right, bottom] = own.unwrap_or([x, y, x + 1, y + 1]);
        *own = Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)]);
    }
    let values = bounds.iter().flat_map(|own| own.unwrap_or([0; 4])).map(|edge| edge as f32).collect();
    Array { shape: vec![most, 4], values }
}

/// Component of every pixel, numbered in reading order, and the sizes. Values above one half are inside.
fn label(mask: &Array, corners: bool) -> (Vec<Option<usize>>, Vec<usize>) {
    let (height, width) = mask.height_width();
    let mut labels = vec![None; mask.values.len()];
    let mut sizes = Vec::new();
    let mut open = Vec::new();
    for start in 0..mask.values.len() {
        if mask.values[start] <= 0.5 || labels[start].is_some() {
            continue;
        }
        let component = sizes.len();
        labels[start] = Some(component);
        open.push(start);
        let mut size = 0;
        while let Some(pixel) = open.pop() {
            size += 1;
            for near in neighbours(pixel, width, height, corners) {
                if mask.values[near] > 0.5 && labels[near].is_none() {
                    labels[near] = Some(component);
                    open.push(near);
                }
            }
        }
        sizes.push(size);
    }
    (labels, sizes)
}

fn neighbours(pixel: usize, width: usize, height: usize, corners: bool) -> impl Iterator<Item = usize> {
    let (x, y) = (pixel % width, pixel / width);
    let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
    rows.flat_map(move |row| (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |column| (column, row)))
        .filter(move |&(column, row)| (column, row) != (x, y) && (corners || column == x || row == y))
        .map(move |(column, row)| row * width + column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Array {
        let values = rows.iter().flat_map(|row| row.bytes().map(|byte| if byte == b'#' { 1.0 } else { 0.0 })).collect();
        Array { shape: vec![rows.len(), rows[0].len()], values }
    }

    fn digits(array: &Array) -> Vec<String> {
        array.values.chunks(array.shape[1]).map(|row| row.iter().map(|value| value.to_string()).collect()).collect()
    }

    #[test]
    fn the_largest_comes_first() {
        let found = components(&[mask(&["#..#", "...#", "#..#", "#..."])], &[1.0]);
        assert_eq!(digits(&found), ["3001", "0001", "2001", "2000"]);
    }

    #[test]
    fn corners_connect_unless_told_otherwise() {
        let diagonal = mask(&["#..", ".#.", "..#"]);
        assert_eq!(digits(&components(std::slice::from_ref(&diagonal), &[])), ["100", "010", "001"]);
        assert_eq!(digits(&components(&[diagonal], &[0.0])), ["100", "020", "003"]);
    }

    #[test]
    fn a_ring_is_one_and_its_hole_none() {
        assert_eq!(digits(&components(&[mask(&["###", "#.#", "###"])], &[0.0])), ["111", "101", "111"]);
    }

    #[test]
    fn boxes_exclude_their_far_edges() {
        let found = largest_box(&[mask(&["....#", ".##..", ".#..."])], &[]);
        assert_eq!((found.shape, found.values), (vec![4], vec![1.0, 1.0, 3.0, 3.0]));
        assert_eq!(largest_box(&[mask(&["...", "..."])], &[]).values, [0.0; 4]);
        assert_eq!(largest_box(&[mask(&["...#"])], &[]).values, [3.0, 0.0, 4.0, 1.0]);
        let all = boxes(&[mask(&["....#", "##...", ".#..."])], &[3.0]);
        assert_eq!((all.shape, all.values), (vec![3, 4], vec![0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 5.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
    }
}
