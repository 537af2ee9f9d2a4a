"""What line_profiler's and kernprof's profilers have in common: they count who enabled them, and decorate."""
import functools
import inspect


class ByCount:
    """enable() and disable() are somebody else's."""

    enable_count = 0

    def enable_by_count(self):
        """enable(), nestable."""
        if self.enable_count == 0:
            self.enable()
        self.enable_count += 1

    def disable_by_count(self):
        """The end of one enable_by_count()."""
        if self.enable_count > 0:
            self.enable_count -= 1
            if self.enable_count == 0:
                self.disable()

    def __enter__(self):
        self.enable_by_count()
        return self

    def __exit__(self, *exc_info):
        self.disable_by_count()

    def __call__(self, func):
        """The decorator: profile while the function runs."""
        return self.wrap_callable(func)

    def wrap_callable(self, func):
        """A function that does the same and profiles meanwhile."""
        if isinstance(func, (classmethod, staticmethod)):
            return type(func)(self.wrap_callable(func.__func__))
        if isinstance(func, property):
            return property(*[part and self.wrap_callable(part) for part in (func.fget, func.fset, func.fdel)],
                            doc=func.__doc__)
        if inspect.iscoroutinefunction(func):
            return self._wrap_coroutine(func)
        if inspect.isgeneratorfunction(func):
            return self._wrap_generator(func)

        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            self.enable_by_count()
            try:
                return func(*args, **kwargs)
            finally:
                self.disable_by_count()
        return wrapper

    wrap_function = wrap_callable

    def _wrap_coroutine(self, func):
        @functools.wraps(func)
        async def wrapper(*args, **kwargs):
            self.enable_by_count()
            try:
                return await func(*args, **kwargs)
            finally:
                self.disable_by_count()
        return wrapper

    def _wrap_generator(self, func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            generator = func(*args, **kwargs)
            value = None
            while True:   # only while it runs
                self.enable_by_count()
                try:
                    item = generator.send(value)
                except StopIteration as end:
                    return end.value
                finally:
                    self.disable_by_count()
                value = yield item
        return wrapper
