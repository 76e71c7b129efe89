use bootenv::slot::Slot;
use factory::image::gpt::{Copies, decode};
use factory::image::layout::{Layout, Partition, PartitionType, Role, Scheme, place};
use factory::units::Bytes;
use uuid::Uuid;

use crate::oracle::{SFDISK, SGDISK, Written, run};

fn layout() -> Layout {
    let esp = (Role::Selector, "esp", 64, PartitionType::Esp);
    let linux = |role, name, mib| (role, name, mib, PartitionType::Linux);
    let rows = [
        esp,
        linux(Role::System(Slot::A), "system-a", 96),
        linux(Role::System(Slot::B), "system-b", 96),
        linux(Role::Data, "data", 4096),
    ];
    let partitions = rows.into_iter().zip(1..).map(|((role, name, mib, kind), n)| Partition {
        role,
        name: name.to_owned(),
        size: Bytes::mib(mib),
        kind,
        id: Uuid::from_u128(0xfac7_0000_0000_4000_8000_0000_0000_0000 + n),
    });
    let id = Uuid::from_u128(0xfac7_0000_0000_4000_8000_0000_0000_0000);
    Layout { scheme: Scheme::Gpt, id, disk: None, partitions: partitions.collect() }
}

#[test]
fn sgdisk_finds_no_problem_in_either_copy() {
    let image = Written::new(&place(&layout()).unwrap().encode());
    let report = run(&SGDISK, &["-v", &image.path()]);
    assert!(report.contains("No problems found"), "{report}");
    assert!(!report.contains("Caution"), "{report}");
}

#[test]
fn sfdisk_reads_the_partitions_as_they_were_placed() {
    let table = place(&layout()).unwrap();
    let image = Written::new(&table.encode());
    let json: serde_json::Value = serde_json::from_str(&run(&SFDISK, &["-J", &image.path()])).unwrap();
    let read = &json["partitiontable"];
    assert_eq!(read["label"], "gpt");
    assert_eq!(read["id"], "FAC70000-0000-4000-8000-000000000000");
    assert_eq!(read["partitions"].as_array().unwrap().len(), table.entries.len());
    for (read, entry) in read["partitions"].as_array().unwrap().iter().zip(&table.entries) {
        assert_eq!(read["start"], entry.start.0);
        assert_eq!(read["size"], entry.length.0);
        assert_eq!(read["name"], entry.name);
        assert_eq!(read["uuid"], entry.id.to_string().to_uppercase());
        assert_eq!(read["type"], entry.kind.guid().to_string().to_uppercase());
    }
}

#[test]
fn the_table_is_read_back_from_the_image() {
    let mut table = place(&layout()).unwrap();
    let image = Written::new(&table.encode());
    let decoded = decode(&mut std::fs::File::open(image.path()).unwrap()).unwrap();
    table.entries.iter_mut().for_each(|entry| entry.role = None);
    assert_eq!(decoded.table, table);
    assert_eq!(decoded.copies, Copies::Both);
}
