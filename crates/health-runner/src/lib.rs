//! Registry, timetable, worker pool, board: what runs when, and what is known
