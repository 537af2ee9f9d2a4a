-- Made after the rows are in: an index costs twice as much while loading.
CREATE INDEX lines_by_file ON lines (file_id, line);
CREATE INDEX lines_by_self ON lines (self_ns DESC);
CREATE INDEX functions_by_file ON functions (file_id, first_line);
CREATE INDEX line_stats_by_function ON line_stats (function_id, line);
CREATE INDEX line_stats_by_thread ON line_stats (thread_id, function_id);
CREATE INDEX edges_by_caller ON edges (caller_function_id, caller_line);
CREATE INDEX edges_by_callee ON edges (callee_function_id);
CREATE INDEX edge_stats_by_callee ON edge_stats (callee_function_id);
CREATE INDEX edge_stats_by_caller ON edge_stats (caller_function_id, caller_line);
CREATE INDEX edge_stats_by_thread ON edge_stats (thread_id);
CREATE INDEX function_stats_by_thread ON function_stats (thread_id);
CREATE INDEX function_edges_by_thread ON function_edges (thread_id);
CREATE INDEX contexts_by_parent ON contexts (parent_id, thread_id);
CREATE INDEX context_lines_by_context ON context_lines (context_id);
CREATE INDEX context_edges_by_context ON context_edges (context_id);
