//! Every order of steps of each scene.

use target_sdk_models::with_loom::scenes;

/// Orders with more than `preemptions` interruptions of running threads are left out; `None` leaves out nothing.
fn every_order(preemptions: Option<usize>, scene: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(scene);
}

macro_rules! models {
    ($($name:ident $preemptions:expr;)*) => {
        $(#[test]
        fn $name() {
            every_order($preemptions, scenes::$name);
        })*
    };
}

models! {
    one_answer_wins None;
    abandon_is_the_end Some(3);
    no_task_is_forgotten None;
    waiting_for_the_end None;
    an_abandoned_answer_leaves_its_queue None;
    an_abandoned_answer_leaves_its_queue_while_it_is_polled Some(2);
    two_push_one_waits None;
    one_pushes_two_wait Some(3);
    quiet_items_are_announced Some(3);
    the_descriptor_tells_the_truth None;
    nothing_is_lost_at_the_end None;
    a_wake_up_is_not_lost None;
    awaited_items_come_first Some(3);
    a_handle_is_never_somebody_else None;
    nothing_of_the_host_after_the_gate None;
    no_fork_in_the_midst_of_a_step Some(3);
    close_waits_for_the_last_one None;
    each_process_has_one_value None;
}
