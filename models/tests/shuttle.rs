//! Random orders: of each scene, and of a longer story. `TARGET_SDK_SCHEDULES` says how many of the story (100,000 without
//! it); a tenth of that of each scene.

use target_sdk_models::with_shuttle::{scenes, story};

fn schedules() -> usize {
    std::env::var("TARGET_SDK_SCHEDULES")
        .map_or(100_000, |count| count.parse().expect("TARGET_SDK_SCHEDULES is a number"))
}

#[test]
fn everybody() {
    use shuttle::rand::Rng;
    shuttle::check_random(|| story::everybody(|below| shuttle::rand::thread_rng().gen_range(0..below)), schedules());
}

macro_rules! models {
    ($($name:ident;)*) => {
        $(#[test]
        fn $name() {
            shuttle::check_random(scenes::$name, schedules() / 10);
        })*
    };
}

models! {
    one_answer_wins;
    abandon_is_the_end;
    no_task_is_forgotten;
    waiting_for_the_end;
    an_abandoned_answer_leaves_its_queue;
    an_abandoned_answer_leaves_its_queue_while_it_is_polled;
    two_push_one_waits;
    one_pushes_two_wait;
    quiet_items_are_announced;
    the_descriptor_tells_the_truth;
    nothing_is_lost_at_the_end;
    a_wake_up_is_not_lost;
    awaited_items_come_first;
    a_handle_is_never_somebody_else;
    nothing_of_the_host_after_the_gate;
    no_fork_in_the_midst_of_a_step;
    close_waits_for_the_last_one;
    each_process_has_one_value;
}
