/* flamegraph.js - makes a flame graph that is drawn already something to walk around in.
 *
 * The picture works without this: frames are placed for 1200 pixels and carry their text in <title>. What is shown is a
 * function of the part of the address behind '#' (z: zoomed frame, s: search, v: flame or icicle, t: theme), so that
 * a view can be bookmarked and the browser's Back button goes back.
 */
(function () {
    'use strict';

    var SVG = 'http://www.w3.org/2000/svg', XHTML = 'http://www.w3.org/1999/xhtml';
    var root = document.documentElement;
    var ROW = 18, MARGIN = 10, TOP = 92, BOTTOM = 34;
    var frames = [], byElement = new Map(), deepest = 0, current = null, state = {}, charWidth = 7.2;
    var holder = document.getElementById('frames');
    var bar = document.getElementById('bar');
    var details = document.getElementById('details');
    var matched = document.getElementById('matched');
    var paper = document.getElementById('paper');
    var note = document.getElementById('note');
    var title = document.getElementById('title');
    var idleText = details.textContent + ' · click: zoom, arrows: walk, /: search, Esc: back', fullTitle = title.textContent;
    var input, buttons = {};

    /* ---- the frames as data ---- */

    function read() {
        var path = [];
        Array.prototype.forEach.call(document.querySelectorAll('g.f'), function (g, index) {
            var v = g.getAttribute('data-v').split(' ').map(Number);
            var title = g.querySelector('title').textContent.split('\n');
            var frame = {
                index: index, g: g, depth: v[0], start: v[1], total: v[2], self: v[3],
                rect: g.querySelector('rect'), text: g.querySelector('text'),
                label: title[0], facts: title.slice(1).join(' · '), children: [], parent: path[v[0] - 1] || null
            };
            if (!frame.text) {
                frame.text = document.createElementNS(SVG, 'text');
                g.appendChild(frame.text);
            }
            path.length = frame.depth;
            path[frame.depth] = frame;
            if (frame.parent) {
                frame.parent.children.push(frame);
            }
            deepest = Math.max(deepest, frame.depth);
            frames.push(frame);
            byElement.set(g, frame);
        });
    }

    function columns(label) {
        var wide = label.match(/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/g);
        return label.length + (wide ? wide.length : 0);
    }

    function cut(label, room) {
        return label.length <= room ? label : label.slice(0, Math.max(0, room - 1)) + '…';
    }

    /* The label, without its place, without its class, or as much of that as fits. */
    function fit(label, width) {
        var room = Math.floor((width - 6) / charWidth);
        [/ \([^()]*\)$/, /^.*\.(?=[^.])/].forEach(function (lesser) {
            if (columns(label) > room) {
                label = label.replace(lesser, '');
            }
        });
        if (columns(label) <= room) {
            return label;
        }
        while (room >= 3 && label.length && columns(label) > room - 1) {
            label = label.slice(0, Math.min(label.length - 1, room - 1));
        }
        return room < 3 ? '' : label + '…';
    }

    /* ---- the address is the state ---- */

    function parse() {
        var result = {z: 0, s: '', v: 'icicle', t: ''};
        location.hash.slice(1).split('&').forEach(function (pair) {
            var at = pair.indexOf('=');
            if (at > 0) {
                try {
                    result[pair.slice(0, at)] = decodeURIComponent(pair.slice(at + 1));
                } catch (malformed) {
                    return;
                }
            }
        });
        result.z = Number(result.z) || 0;
        return result;
    }

    function go(change, replace) {
        var next = {}, parts = [];
        ['z', 's', 'v', 't'].forEach(function (key) {
            next[key] = key in change ? change[key] : state[key];
        });
        if (next.z) { parts.push('z=' + next.z); }
        if (next.s) { parts.push('s=' + encodeURIComponent(next.s)); }
        if (next.v !== 'icicle') { parts.push('v=' + next.v); }
        if (next.t) { parts.push('t=' + next.t); }
        try {
            history[replace ? 'replaceState' : 'pushState'](null, '', '#' + parts.join('&'));
        } catch (forbidden) {
            location.hash = parts.join('&');
        }
        apply();
    }

    function apply() {
        state = parse();
        root.classList.toggle('dark', state.t === 'dark');
        root.classList.toggle('light', state.t === 'light');
        if (input && input.value !== state.s && document.activeElement !== input) {
            input.value = state.s;
        }
        draw();
        mark();
        describe(null);
    }

    /* ---- drawing ---- */

    function pageWidth() {
        return Math.max(320, root.clientWidth || window.innerWidth);
    }

    function place(frame, x, width, isAncestor) {
        var y = state.v === 'flame' ? TOP + (deepest - frame.depth) * ROW : TOP + frame.depth * ROW;
        frame.g.removeAttribute('display');
        frame.g.classList.toggle('above', isAncestor);
        frame.rect.setAttribute('x', x.toFixed(2));
        frame.rect.setAttribute('y', y);
        frame.rect.setAttribute('width', Math.max(width - 0.5, 0.2).toFixed(2));
        frame.text.setAttribute('x', (x + 4).toFixed(2));
        frame.text.setAttribute('y', y + 13);
        frame.text.textContent = width < 3 * charWidth + 6 ? '' : fit(frame.label, width);
    }

    function draw() {
        var zoom = frames[state.z] || frames[0], inner = pageWidth() - 2 * MARGIN, scale = inner / zoom.total, above = {};
        var height = TOP + (deepest + 1) * ROW + BOTTOM, up;
        for (up = zoom.parent; up; up = up.parent) {
            above[up.index] = true;
        }
        frames.forEach(function (frame) {
            var width = frame.total * scale;
            if (above[frame.index]) {
                place(frame, MARGIN, inner, true);
            } else if (frame.start >= zoom.start && frame.start + frame.total <= zoom.start + zoom.total &&
                       frame.depth >= zoom.depth && width >= 0.1) {
                place(frame, MARGIN + (frame.start - zoom.start) * scale, width, false);
            } else {
                frame.g.setAttribute('display', 'none');
            }
        });
        root.setAttribute('height', height);
        paper.setAttribute('height', height);
        note.setAttribute('y', height - 12);
        buttons.reset.style.visibility = state.z ? 'visible' : 'hidden';
        buttons.view.textContent = state.v === 'flame' ? 'Icicle' : 'Flame';
        layBar(inner);
    }

    function layBar(inner) {
        var x = MARGIN + inner;
        ['theme', 'view', 'reset'].forEach(function (key) {
            buttons[key].setAttribute('x', x);
            x -= (buttons[key].textContent.length + 2) * charWidth;
        });
        input.parentNode.setAttribute('x', x - 190);
        matched.setAttribute('x', MARGIN + inner);
        title.textContent = cut(fullTitle, Math.floor((x - 190 - 2 * MARGIN) / (charWidth * 1.25)));
        bar.querySelector('.back').setAttribute('width', pageWidth());
        bar.setAttribute('transform', 'translate(0,' + Math.max(0, window.scrollY || 0) + ')');
    }

    /* ---- details ---- */

    function percent(part, whole) {
        return (100 * part / whole).toFixed(2) + ' %';
    }

    function describe(frame) {
        var zoom = frames[state.z] || frames[0];
        if (!frame) {
            details.textContent = current ? current.label + ' · ' + current.facts : idleText;
            return;
        }
        details.textContent = frame.label + ' · ' + frame.facts +
            (state.z && frame.depth >= zoom.depth ? ' · ' + percent(frame.total, zoom.total) + ' of the view' : '');
    }

    function focus(frame) {
        if (current) {
            current.g.classList.remove('focus');
            current.g.removeAttribute('tabindex');
        }
        current = frame;
        if (!frame) {
            describe(null);
            return;
        }
        frame.g.classList.add('focus');
        frame.g.setAttribute('tabindex', '0');
        frame.g.focus({preventScroll: true});
        describe(frame);
        var y = Number(frame.rect.getAttribute('y'));
        if (y < window.scrollY + TOP || y + ROW > window.scrollY + window.innerHeight) {
            window.scrollTo(0, Math.max(0, y - window.innerHeight / 2));
        }
    }

    /* ---- search ---- */

    function pattern() {
        if (!state.s) {
            return null;
        }
        try {
            return new RegExp(state.s, /[A-Z]/.test(state.s) ? '' : 'i');
        } catch (invalid) {
            return false;
        }
    }

    /* A match below a match is part of it already. */
    function mark() {
        var wanted = pattern(), sum = 0, count = 0, until = -1;
        frames.forEach(function (frame) {
            var hit = !!wanted && wanted.test(frame.label);
            frame.g.classList.toggle('hit', hit);
            count += hit ? 1 : 0;
            if (hit && frame.start >= until) {
                sum += frame.total;
                until = frame.start + frame.total;
            }
        });
        holder.classList.toggle('searching', !!wanted);
        matched.textContent = wanted === null ? '' : wanted === false ? 'not a regular expression'
            : 'matched ' + percent(sum, frames[0].total) + ' in ' + count + (count === 1 ? ' frame' : ' frames');
    }

    /* ---- moving about ---- */

    function visible(frame) {
        return frame && !frame.g.hasAttribute('display');
    }

    function sibling(frame, step) {
        var row = frames.filter(function (other) {
            return other.depth === frame.depth && visible(other);
        });
        return row[row.indexOf(frame) + step];
    }

    function move(key) {
        var zoom = frames[state.z] || frames[0], outward = state.v === 'flame' ? 'ArrowDown' : 'ArrowUp', next;
        if (!visible(current)) {
            next = zoom;
        } else if (key === 'ArrowLeft' || key === 'ArrowRight') {
            next = sibling(current, key === 'ArrowLeft' ? -1 : 1);
        } else {
            next = key === outward ? current.parent : current.children.filter(visible)[0];
        }
        if (visible(next)) {
            focus(next);
        }
    }

    function nextMatch() {
        var hits = frames.filter(function (frame) {
            return frame.g.classList.contains('hit') && visible(frame);
        });
        var after = hits.filter(function (frame) { return current && frame.index > current.index; });
        if (hits.length) {
            focus(after[0] || hits[0]);
        }
    }

    function zoomTo(frame) {
        go({z: frame.index === state.z ? 0 : frame.index});
    }

    function isDark() {
        return state.t ? state.t === 'dark' : window.matchMedia('(prefers-color-scheme: dark)').matches;
    }

    var actions = {
        reset: function () { go({z: 0}); },
        view: function () { go({v: state.v === 'flame' ? 'icicle' : 'flame'}, true); },
        theme: function () { go({t: isDark() ? 'light' : 'dark'}, true); }
    };

    function escape() {
        if (state.s) {
            input.value = '';
            go({s: ''}, true);
        } else if (state.z) {
            actions.reset();
        } else {
            focus(null);
        }
    }

    var keys = {
        'Escape': escape,
        'Enter': function () { if (current) { zoomTo(current); } },
        ' ': function () { if (current) { zoomTo(current); } },
        '/': function () { input.focus(); input.select(); },
        'n': nextMatch,
        'i': actions.view,
        't': actions.theme,
        'Home': actions.reset
    };
    ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'].forEach(function (key) {
        keys[key] = function () { move(key); };
    });

    function onKey(event) {
        var find = (event.ctrlKey || event.metaKey) && event.key === 'f';
        if (event.target === input) {
            if (event.key === 'Escape' || event.key === 'Enter') {
                event.preventDefault();
                input.blur();
                (event.key === 'Escape' ? escape : nextMatch)();
            }
            return;
        }
        if (event.target.getAttribute && event.target.getAttribute('role') === 'button' &&
            (event.key === 'Enter' || event.key === ' ')) {
            event.preventDefault();
            actions[event.target.getAttribute('data-key')]();
        } else if (find || (!event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key])) {
            event.preventDefault();
            keys[find ? '/' : event.key]();
        }
    }

    /* ---- controls, which exist only where this script runs ---- */

    function addButton(key, label, hint) {
        var button = document.createElementNS(SVG, 'text'), title = document.createElementNS(SVG, 'title');
        button.setAttribute('class', 'button');
        button.setAttribute('y', 24);
        button.setAttribute('text-anchor', 'end');
        button.setAttribute('role', 'button');
        button.setAttribute('tabindex', '0');
        button.setAttribute('data-key', key);
        button.setAttribute('aria-label', hint);
        button.textContent = label;
        button.addEventListener('click', actions[key]);
        title.textContent = hint;
        bar.appendChild(button);
        buttons[key] = button;
    }

    function addSearch() {
        var box = document.createElementNS(SVG, 'foreignObject');
        box.setAttribute('y', 6);
        box.setAttribute('width', 180);
        box.setAttribute('height', 28);
        input = document.createElementNS(XHTML, 'input');
        input.setAttribute('type', 'search');
        input.setAttribute('placeholder', 'Search  /');
        input.setAttribute('aria-label', 'Search frames by regular expression');
        input.setAttribute('spellcheck', 'false');
        input.addEventListener('input', function () { go({s: input.value}, true); });
        box.appendChild(input);
        bar.appendChild(box);
    }

    function frameOf(event) {
        var g = event.target.closest ? event.target.closest('g.f') : null;
        return byElement.get(g) || null;
    }

    function listen() {
        holder.addEventListener('click', function (event) {
            var frame = frameOf(event);
            if (frame) {
                focus(frame);
                zoomTo(frame);
            }
        });
        holder.addEventListener('mouseover', function (event) { describe(frameOf(event)); });
        holder.addEventListener('mouseleave', function () { describe(null); });
        document.addEventListener('keydown', onKey);
        window.addEventListener('resize', draw);
        window.addEventListener('scroll', function () { layBar(pageWidth() - 2 * MARGIN); });
        window.addEventListener('hashchange', apply);
        window.addEventListener('popstate', apply);
    }

    function measure() {
        var sample = document.createElementNS(SVG, 'text');
        sample.setAttribute('class', 'sample');
        sample.textContent = 'abcdefghijklmnopqrst';
        root.appendChild(sample);
        charWidth = sample.getComputedTextLength() / 20 || charWidth;
        root.removeChild(sample);
    }

    root.removeAttribute('viewBox');
    root.setAttribute('width', '100%');
    root.setAttribute('role', 'application');
    root.classList.add('live');
    read();
    measure();
    addSearch();
    addButton('theme', 'Theme', 'Light or dark (t)');
    addButton('view', 'Flame', 'Root at the top or at the bottom (i)');
    addButton('reset', 'Reset', 'Show everything (Esc)');
    listen();
    apply();
}());
