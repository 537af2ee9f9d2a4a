"""Tables and bars as text."""


class Report:
    def __init__(self, file, top):
        self.file = file
        self.top = top

    def line(self, text=""):
        self.file.write(text.rstrip() + "\n")

    def title(self, text):
        self.line(text)
        self.line("=" * len(text))

    def table(self, title, heads, rows):
        self.line()
        self.line(title)
        shown = [tuple(map(str, row)) for row in rows[:self.top]]
        widths = [max(map(len, column)) for column in zip(heads, *shown)]
        for cells in (heads, *shown):
            aligned = [self.align(cell, widths[i], i) for i, cell in enumerate(cells)]
            self.line("  " + "  ".join(aligned))
        if len(rows) > self.top:
            self.line("  ... %d more" % (len(rows) - self.top))

    @staticmethod
    def align(cell, width, column):
        return cell.ljust(width) if column == 0 else cell.rjust(width)

    def bars(self, title, rows, width=40):
        self.line()
        self.line(title)
        most = max((count for _, count in rows), default=1)
        for label, count in rows:
            self.line("  %s %5d %s" % (label, count, "#" * (count * width // most)))
