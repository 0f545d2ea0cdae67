//! Rows ⇄ Arrow: the schema of a table, and a batch of its rows.

use crate::tables::{Cell, Cells, Column, Kind, Table};
use anyhow::Context as _;
use deltalake::arrow::array::{
    Array as _, ArrayRef, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use deltalake::arrow::buffer::{NullBuffer, OffsetBuffer};
use deltalake::arrow::datatypes::{DataType as ArrowType, FieldRef, SchemaRef};
use deltalake::kernel::{ArrayType, DataType, MetadataValue, StructField, StructType};
use domain::Timestamp;
use domain::artefact::Contribution;
use domain::id::WorkspaceId;
use std::sync::Arc;

/// A row of any table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) position: u64,
    pub(crate) workspace: WorkspaceId,
    pub(crate) at: Timestamp,
    pub(crate) cells: Cells,
}

const DAY_US: u64 = 86_400_000_000;

/// Returns a column as Delta declares it.
pub(crate) fn field(column: Column) -> StructField {
    let text = || DataType::STRING;
    let kind = match column.kind {
        Kind::Day => DataType::DATE,
        Kind::Moment => DataType::TIMESTAMP,
        Kind::Text => text(),
        Kind::Integer => DataType::LONG,
        Kind::Real => DataType::DOUBLE,
        Kind::Texts => ArrayType::new(text(), true).into(),
        Kind::Contributions => ArrayType::new(contribution(), true).into(),
    };
    StructField::nullable(column.name, kind).with_metadata([("comment", MetadataValue::String(column.about.into()))])
}

fn contribution() -> StructType {
    let real = |name: &str| StructField::nullable(name, DataType::DOUBLE);
    let text = |name: &str| StructField::nullable(name, DataType::STRING);
    let whole = |name: &str| StructField::nullable(name, DataType::LONG);
    StructType::try_new([
        text("feature"),
        text("group"),
        real("value"),
        real("percentile"),
        real("weight"),
        real("effect"),
        whole("start_us"),
        whole("end_us"),
    ])
    .expect("the names differ")
}

/// Returns rows as a batch of the schema that the table has: what it does not know here, it leaves out.
pub(crate) fn batch(table: &Table, rows: &[Row], schema: &SchemaRef) -> anyhow::Result<RecordBatch> {
    let columns: Vec<_> = schema.fields().iter().map(|field| column(table, rows, field)).collect::<anyhow::Result<_>>()?;
    RecordBatch::try_new(schema.clone(), columns).with_context(|| format!("putting rows of {} together", table.name))
}

fn column(table: &Table, rows: &[Row], field: &FieldRef) -> anyhow::Result<ArrayRef> {
    let microseconds = |row: &Row| row.at.0.cast_signed();
    Ok(match field.name().as_str() {
        "date" => Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| (row.at.0 / DAY_US) as i32))),
        "position" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.position.cast_signed()))),
        "workspace" => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.workspace.to_string()))),
        "time" => Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(microseconds)).with_timezone("UTC")),
        name => match table.columns.iter().position(|column| column.name == name) {
            None => new_null_array(field.data_type(), rows.len()),
            Some(index) => {
                let cells: Vec<_> = rows.iter().map(|row| cell(row, name, index)).collect();
                cells_array(&cells, table.columns[index].kind, field)?
            }
        },
    })
}

/// Finds a cell, which is most often at the column's own place.
fn cell<'a>(row: &'a Row, name: &str, index: usize) -> &'a Cell {
    match row.cells.get(index) {
        Some((at_index, cell)) if *at_index == name => cell,
        _ => row.cells.iter().find(|(other, _)| *other == name).map_or(&Cell::Absent, |(_, cell)| cell),
    }
}

fn cells_array(cells: &[&Cell], kind: Kind, field: &FieldRef) -> anyhow::Result<ArrayRef> {
    Ok(match kind {
        Kind::Text => Arc::new(StringArray::from_iter(cells.iter().map(|cell| match cell {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        }))),
        Kind::Integer => Arc::new(Int64Array::from_iter(cells.iter().map(|cell| match cell {
            Cell::Integer(number) => Some(*number),
            _ => None,
        }))),
        Kind::Real => Arc::new(Float64Array::from_iter(cells.iter().map(|cell| match cell {
            Cell::Real(number) => Some(*number),
            _ => None,
        }))),
        Kind::Texts => {
            let lists = cells.iter().map(|cell| if let Cell::Texts(texts) = cell { Some(texts.as_slice()) } else { None });
            list(field, lists.collect(), |texts, _| Ok(Arc::new(StringArray::from_iter_values(texts))))?
        }
        Kind::Contributions => {
            let lists = cells.iter().map(|cell| if let Cell::Contributions(list) = cell { Some(list.as_slice()) } else { None });
            list(field, lists.collect(), |values, element| contributions(&values, element))?
        }
        Kind::Day | Kind::Moment => anyhow::bail!("only the envelope has columns of {kind:?}"),
    })
}

/// Returns lists of any length, some of them absent, as one array.
fn list<T>(
    field: &FieldRef,
    lists: Vec<Option<&[T]>>,
    values: impl FnOnce(Vec<&T>, &FieldRef) -> anyhow::Result<ArrayRef>,
) -> anyhow::Result<ArrayRef> {
    let ArrowType::List(element) = field.data_type() else { anyhow::bail!("{} is not a list in the table", field.name()) };
    let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.map_or(0, <[T]>::len)));
    let present = NullBuffer::from_iter(lists.iter().map(Option::is_some));
    let flat = lists.into_iter().flatten().flatten().collect();
    Ok(Arc::new(ListArray::try_new(element.clone(), offsets, values(flat, element)?, Some(present))?))
}

fn contributions(values: &[&Contribution], element: &FieldRef) -> anyhow::Result<ArrayRef> {
    let ArrowType::Struct(fields) = element.data_type() else { anyhow::bail!("contributions are not structs in the table") };
    let real =
        |of: fn(&Contribution) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(values.iter().map(|value| of(value)))) };
    let text =
        |of: fn(&Contribution) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(values.iter().map(|value| of(value)))) };
    let whole = |of: fn(&Contribution) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values.iter().map(|value| of(value).cast_signed())))
    };
    let columns = fields.iter().map(|field| match field.name().as_str() {
        "feature" => text(|value| value.feature.clone()),
        "group" => text(group),
        "value" => real(|value| value.value),
        "percentile" => real(|value| value.percentile),
        "weight" => real(|value| value.weight),
        "effect" => real(|value| value.effect),
        "start_us" => whole(|value| value.at.start().0),
        "end_us" => whole(|value| value.at.end().0),
        _ => new_null_array(field.data_type(), values.len()),
    });
    let columns: Vec<_> = columns.collect();
    debug_assert!(columns.iter().all(|column| column.len() == values.len()));
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, None, values.len())?))
}

fn group(contribution: &Contribution) -> String {
    match serde_json::to_value(contribution.group) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
